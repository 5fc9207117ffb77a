"""Numbers of derivations: exact up to a thousand digits, then their order of magnitude."""

from __future__ import annotations

from functools import total_ordering
from math import log2, log10

DIGITS = 1000  # of a number that is kept exactly
BITS = int(DIGITS / log10(2))


@total_ordering
class About:
    """A number too large to be written out, by its logarithm; it adds, multiplies and compares as integers do.

    Attributes:
        log10: its decimal logarithm.
    """

    __slots__ = ("log10",)

    def __init__(self, log10: float) -> None:
        self.log10 = log10

    def __add__(self, other: Number) -> About:
        low, high = sorted((self.log10, magnitude(other)))
        return About(high if high - low > 20 else high + log10(1 + 10 ** (low - high)))

    def __mul__(self, other: Number) -> About:
        return About(self.log10 + magnitude(other))

    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, About) and other.log10 == self.log10

    def __lt__(self, other: Number) -> bool:
        return self.log10 < magnitude(other)

    def __hash__(self) -> int:
        return hash(self.log10)

    def __format__(self, spec: str) -> str:
        return f"about 10^{round(self.log10):{spec}}"

    def __str__(self) -> str:
        return format(self, ",")

    def __repr__(self) -> str:
        return f"<{self}>"


Number = int | About


def magnitude(value: Number) -> float:
    """The decimal logarithm of a number from 1 on; that of 0 is minus infinity."""
    if isinstance(value, About):
        return value.log10
    if value <= 0:
        return float("-inf")
    shift = max(value.bit_length() - 64, 0)
    return (log2(value >> shift) + shift) * log10(2)


def plus(a: Number, b: Number) -> Number:
    """The sum, in the form that numbers of its size are kept in."""
    if isinstance(a, About):
        return a + b
    return b + a if isinstance(b, About) else _kept(a + b)


def times(a: Number, b: Number) -> Number:
    """The product, likewise; large exact factors are not multiplied out first."""
    if not a or not b:
        return 0
    if isinstance(a, About) or isinstance(b, About) or a.bit_length() + b.bit_length() > BITS + 1:
        return About(magnitude(a) + magnitude(b))
    return _kept(a * b)


def _kept(value: int) -> Number:
    return About(magnitude(value)) if value.bit_length() > BITS else value
