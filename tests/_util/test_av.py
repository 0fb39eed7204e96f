"""What PyAV's versions call a time base, a rate, a ratio."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from acutance._util.av import fraction, time_unit


class Rational:
    """As PyAV 19 has it: a zero denominator is allowed, and unset values are falsy."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def __bool__(self) -> bool:
        return self.numerator != 0 and self.denominator != 0


@pytest.mark.parametrize("kind", [Fraction, Rational])
def test_a_rate_becomes_a_fraction(kind: type) -> None:
    found = fraction(kind(30000, 1001))
    assert type(found) is Fraction
    assert found == Fraction(30000, 1001)


@pytest.mark.parametrize("unset", [None, Fraction(0), Rational(0, 1), Rational(0, 0), Rational(1, 0)])
def test_an_unset_value_is_none(unset: object) -> None:
    assert fraction(unset) is None
    assert time_unit(SimpleNamespace(time_base=unset), Fraction(1, 1000)) == Fraction(1, 1000)
