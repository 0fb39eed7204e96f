"""Weighted mixes of degradation recipes. Seed and name of a picture alone decide what it gets."""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.degrade.amounts import is_number
from acutance.degrade.chain import Degradation, Triple
from acutance.errors import ConfigError

__all__ = ["DegradationMix", "generator_for"]

_CHOICES = ("factor", "down", "up", "codec")  # may be lists in a table of a mix


class DegradationMix:
    """Weighted recipes. Each picture gets one recipe and its draws from the seed and the picture's name.

    The result does not depend on the order of pictures, on other pictures, or on the number of processes.

    Args:
        recipes: (weight, recipe) pairs. Weights are positive and relative.

    Raises:
        ConfigError: there is no recipe, or a weight is not positive.
    """

    def __init__(self, recipes: Sequence[tuple[float, Degradation]]) -> None:
        if not recipes:
            raise ConfigError("a mix of degradations needs at least one recipe")
        for weight, _ in recipes:
            if not is_number(weight) or not 0 < weight < math.inf:
                raise ConfigError(f"the weight of a degradation must be a positive number, not {weight!r}")
        self._recipes = tuple((float(weight), recipe) for weight, recipe in recipes)

    @classmethod
    def from_list(cls, tables: Sequence[Mapping[str, Any]]) -> "DegradationMix":
        """Create a mix from the tables of a configuration.

        Args:
            tables: recipes with an optional ``weight`` (default 1). ``factor``, ``down``, ``up`` and ``codec`` may be
                lists: such a table stands for all combinations, which share its weight.

        Returns:
            The mix.

        Raises:
            ConfigError: an unknown key, a bad value, or an empty list.
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
        """Return the mix as plain tables that :meth:`from_list` reads back."""
        return [{"weight": weight, **recipe.to_dict()} for weight, recipe in self._recipes]

    def __eq__(self, other: object) -> bool:
        """Return True if recipes and weights are equal."""
        return isinstance(other, DegradationMix) and self._recipes == other._recipes

    def __hash__(self) -> int:
        """Return a hash of recipes and weights."""
        return hash(self._recipes)

    def __repr__(self) -> str:
        """Return the mix as an expression."""
        return f"DegradationMix({list(self._recipes)!r})"

    @property
    def recipes(self) -> tuple[Degradation, ...]:
        """The recipes without their weights."""
        return tuple(recipe for _, recipe in self._recipes)

    @property
    def factors(self) -> tuple[float, ...]:
        """The factors of the recipes, ascending, without repetition."""
        return tuple(sorted({recipe.factor for recipe in self.recipes}))

    @property
    def needs_codec(self) -> bool:
        """True if any recipe runs an encoder."""
        return any(recipe.needs_codec for recipe in self.recipes)

    @property
    def digest(self) -> str:
        """SHA-256 of the tables, in hexadecimal. Equal mixes have equal digests."""
        return hashlib.sha256(json.dumps(self.to_list(), sort_keys=True).encode()).hexdigest()

    def describe(self) -> str:
        """Return the mix in words. Recipes that differ only in factor or codec share one phrase."""
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
            if len(recipes) != len(factors) * len(codecs):  # not all combinations: one phrase each
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
        """Draw a recipe by weight."""
        edges = np.cumsum([weight for weight, _ in self._recipes])
        index = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
        return self._recipes[min(index, len(self._recipes) - 1)][1]

    def apply(self, sharp: NDArray[np.uint8], *, seed: int, name: str | int) -> Triple:
        """Degrade a picture with the recipe that seed and name select.

        Args:
            sharp: uint8, H x W x 3, RGB.
            seed: seed of the set.
            name: name or index of the picture.

        Returns:
            The training example; see :meth:`Degradation.apply`.
        """
        rng = generator_for(seed, name)
        return self.pick(rng).apply(sharp, rng)


def generator_for(seed: int, name: str | int) -> np.random.Generator:
    """Return a random generator that depends on nothing but its arguments.

    Args:
        seed: seed of the set.
        name: name or index of the picture.

    Returns:
        The generator. It gives the same draws in every process and on every machine.
    """
    # hash() does not work here: Python salts it in every process.
    digest = hashlib.sha256(f"{seed}:{type(name).__name__}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
