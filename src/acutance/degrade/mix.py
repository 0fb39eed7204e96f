"""Several recipes with weights: what the pictures of a set go through, each by seed and name alone."""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.degrade.chain import Degradation, Triple, is_number
from acutance.errors import ConfigError

__all__ = ["DegradationMix", "generator_for"]

_CHOICES = ("factor", "down", "up", "codec")  # may be lists in a table of a mix


class DegradationMix:
    """Several recipes with weights; each picture gets one, and its draws, by seed and name alone.

    So a picture comes out the same whatever the order, the number of processes, and the pictures beside it.
    """

    def __init__(self, recipes: Sequence[tuple[float, Degradation]]) -> None:
        """recipes: (weight, recipe) pairs; weights are positive and relative. Raises ConfigError."""
        if not recipes:
            raise ConfigError("a mix of degradations needs at least one recipe")
        for weight, _ in recipes:
            if not is_number(weight) or not 0 < weight < math.inf:
                raise ConfigError(f"the weight of a degradation must be a positive number, not {weight!r}")
        self._recipes = tuple((float(weight), recipe) for weight, recipe in recipes)

    @classmethod
    def from_list(cls, tables: Sequence[Mapping[str, Any]]) -> "DegradationMix":
        """From an array of tables, each a recipe with an optional ``weight`` (1).

        ``factor``, ``down``, ``up`` and ``codec`` may be lists: the table then stands for every combination, which
        share its weight. Raises ConfigError.
        """
        if isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables):
            raise ConfigError("degradations must be an array of tables")
        recipes = []
        for table in tables:
            rest = {k: v for k, v in table.items() if k != "weight"}
            lists = {k: rest.pop(k) for k in _CHOICES if isinstance(rest.get(k), list | tuple)}
            if not all(lists.values()):
                raise ConfigError(f"degradation {' and '.join(k for k, v in lists.items() if not v)}: an empty list")
            combinations = list(itertools.product(*lists.values()))
            weight = table.get("weight", 1.0)
            share = weight / len(combinations) if is_number(weight) else weight
            recipes += [
                (share, Degradation.from_dict({**rest, **dict(zip(lists, c, strict=True))})) for c in combinations
            ]
        return cls(recipes)

    def to_list(self) -> list[dict[str, Any]]:
        """The mix as plain tables; :meth:`from_list` reads them back equal."""
        return [{"weight": weight, **recipe.to_dict()} for weight, recipe in self._recipes]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DegradationMix) and self._recipes == other._recipes

    def __hash__(self) -> int:
        return hash(self._recipes)

    def __repr__(self) -> str:
        return f"DegradationMix({list(self._recipes)!r})"

    @property
    def recipes(self) -> tuple[Degradation, ...]:
        return tuple(recipe for _, recipe in self._recipes)

    @property
    def factors(self) -> tuple[float, ...]:
        """The factors of the recipes, each once, ascending."""
        return tuple(sorted({recipe.factor for recipe in self.recipes}))

    @property
    def needs_codec(self) -> bool:
        return any(recipe.needs_codec for recipe in self.recipes)

    @property
    def digest(self) -> str:
        """A name of the mix: SHA-256 of its tables. Equal mixes have equal digests."""
        return hashlib.sha256(json.dumps(self.to_list(), sort_keys=True).encode()).hexdigest()

    def describe(self) -> str:
        """The mix in words. Recipes that differ in factor or codec alone are told of together, with what they share."""
        total = sum(weight for weight, _ in self._recipes)
        groups: dict[str, list[tuple[float, Degradation]]] = {}
        for weight, recipe in self._recipes:
            rest = {k: v for k, v in recipe.to_dict().items() if k not in ("factor", "codec")}
            groups.setdefault(json.dumps([weight, recipe.codec is None, rest]), []).append((weight, recipe))
        parts = []
        for group in groups.values():
            recipes = [recipe for _, recipe in group]
            factors = sorted({recipe.factor for recipe in recipes})
            codecs = list(dict.fromkeys(recipe.codec for recipe in recipes))
            if len(recipes) != len(factors) * len(codecs):  # not every combination: one by one
                parts += [f"{weight / total:.0%} {recipe.describe()}" for weight, recipe in group]
                continue
            words = (
                recipes[0]
                .describe()
                .replace(f"down x{recipes[0].factor:g}", "down x" + "/".join(f"{factor:g}" for factor in factors), 1)
            )
            if codecs[0] is not None:
                words = words.replace(f"{codecs[0]} at", f"{'/'.join(str(codec) for codec in codecs)} at", 1)
            parts.append(f"{sum(weight for weight, _ in group) / total:.0%} {words}")
        return "; ".join(parts)

    def pick(self, rng: np.random.Generator) -> Degradation:
        """Draw one recipe by weight."""
        edges = np.cumsum([weight for weight, _ in self._recipes])
        index = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
        return self._recipes[min(index, len(self._recipes) - 1)][1]

    def apply(self, sharp: NDArray[np.uint8], *, seed: int, name: str | int) -> Triple:
        """Pick a recipe for the picture called ``name`` and degrade it; see :meth:`Degradation.apply`."""
        rng = generator_for(seed, name)
        return self.pick(rng).apply(sharp, rng)


def generator_for(seed: int, name: str | int) -> np.random.Generator:
    """A generator that depends on nothing but the seed and the name (or index) of a picture."""
    # Not hash(): Python salts it for every process.
    digest = hashlib.sha256(f"{seed}:{type(name).__name__}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
