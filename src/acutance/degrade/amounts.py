"""Values of a degradation recipe that are fixed or drawn from a range."""

import math

import numpy as np

from acutance.errors import ConfigError

__all__ = ["Amount", "check_amount", "check_choice", "describe_amount", "draw_amount", "is_number"]

Amount = float | tuple[float, float]
"""A fixed value, or a range (low, high) from which a value is drawn for each picture."""


def draw_amount(amount: Amount, rng: np.random.Generator, *, logarithmic: bool) -> float:
    """Draw a value.

    Args:
        amount: a value or a range. A fixed value uses no draw.
        rng: source of the draw.
        logarithmic: if True, the logarithm is drawn uniformly.

    Returns:
        The value.
    """
    if not isinstance(amount, tuple):
        return float(amount)
    low, high = amount
    if logarithmic:
        return float(math.exp(math.log(low) + (math.log(high) - math.log(low)) * rng.random()))
    return float(low + (high - low) * rng.random())


def describe_amount(amount: Amount) -> str:
    """Return an amount in words: ``3`` or ``1 to 3``."""
    return f"{amount[0]:g} to {amount[1]:g}" if isinstance(amount, tuple) else f"{amount:g}"


def is_number(value: object) -> bool:
    """Return True for an int or float that is not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_choice(name: str, value: object, accepted: tuple[str, ...]) -> None:
    """Check a word.

    Args:
        name: key of the recipe, for the message.
        value: what the recipe has.
        accepted: the words that are valid.

    Raises:
        ConfigError: ``value`` is none of them.
    """
    if not isinstance(value, str) or value not in accepted:
        raise ConfigError(f"degradation {name} must be one of {', '.join(accepted)}, not {value!r}")


def check_amount(name: str, value: object, lowest: float, highest: float) -> None:
    """Check an amount.

    Args:
        name: key of the recipe, for the message.
        value: what the recipe has; None is valid.
        lowest: smallest valid number.
        highest: largest valid number.

    Raises:
        ConfigError: ``value`` is neither a number nor a range (low, high), or is out of range.
    """
    if value is None:
        return
    ends = value if isinstance(value, tuple) else (value,)
    if not all(is_number(end) for end in ends) or (isinstance(value, tuple) and len(ends) != 2):
        raise ConfigError(f"degradation {name} must be a number or a range of two, not {value!r}")
    if not all(lowest <= end <= highest for end in ends) or ends[0] > ends[-1]:
        raise ConfigError(f"degradation {name} must lie from {lowest:g} to {highest:g}, low before high, not {value!r}")
