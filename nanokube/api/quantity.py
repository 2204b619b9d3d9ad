"""Resource quantities ("100m", "64Mi", "1e3"): parse, compare, add, print canonically. Pure.

Values are exact: `Quantity` holds a Decimal. Amounts below 1n are rounded up.
Source: staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go (grammar in its head comment).

>>> str(parse("1500m") + parse("0.5"))
'2'
>>> str(parse("1024Mi")), str(parse("0.1Gi")), str(parse("1e3"))
('1Gi', '107374182400m', '1e3')
>>> milli("250m"), value("250m"), value("64Mi")
(250, 1, 67108864)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from functools import lru_cache, total_ordering
from typing import Final

_GRAMMAR: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?[0-9]+)"
)
_BINARY: Final = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF_EXPONENT: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_NANO: Final = Decimal("1e-9")
_CONTEXT: Final = Context(prec=60)
# the largest magnitude: Kubernetes caps at 2**63-1, whatever the suffix
_MAX: Final = Decimal((1 << 63) - 1)

BINARY_SI: Final = "BinarySI"
DECIMAL_SI: Final = "DecimalSI"
DECIMAL_EXPONENT: Final = "DecimalExponent"

BAD_FORMAT: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """An exact amount and the notation it is printed in."""

    amount: Decimal
    format: str = DECIMAL_SI

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def __lt__(self, other: Quantity) -> bool:
        return self.amount < other.amount

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.amount + other.amount, self.format if self.amount else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.amount - other.amount, self.format if self.amount else other.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.amount, self.format)

    @property
    def value(self) -> int:
        """The amount in whole units, rounded up."""
        return _ceil(self.amount)

    @property
    def milli(self) -> int:
        """The amount in thousandths, rounded up."""
        return _ceil(self.amount * 1000)

    def __str__(self) -> str:
        if not self.amount:
            return "0"
        if self.format == BINARY_SI:
            return _print_binary(self.amount)
        return _print_decimal(self.amount, exponent=self.format == DECIMAL_EXPONENT)


@lru_cache(maxsize=8192)
def parse(text: str | int | float) -> Quantity:
    """Parse a quantity. Raises ValueError with Kubernetes' wording."""
    match = _GRAMMAR.fullmatch(str(text))
    if match is None:
        raise ValueError(BAD_FORMAT)
    suffix = match["suffix"]
    with localcontext(_CONTEXT):
        number = Decimal(match["number"])
        if suffix in _BINARY:
            amount, format_ = number * _BINARY[suffix], BINARY_SI
        elif suffix in _DECIMAL:
            amount, format_ = number.scaleb(_DECIMAL[suffix]), DECIMAL_SI
        else:
            exponent = int(suffix[1:])
            if abs(exponent) > 400:  # beyond any representable amount; spares Decimal huge exponents
                raise ValueError(BAD_FORMAT)
            amount, format_ = number.scaleb(exponent), DECIMAL_EXPONENT
        return Quantity(_bound(amount), _settle(amount, format_))


def is_valid(text: object) -> bool:
    """Tell whether the text parses."""
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        return False
    try:
        parse(text)
    except ValueError:
        return False
    return True


def value(text: str | int | float) -> int:
    """Parse and return whole units, rounded up (bytes of memory, pods). Raises ValueError."""
    return parse(text).value


def milli(text: str | int | float) -> int:
    """Parse and return thousandths, rounded up (CPU). Raises ValueError."""
    return parse(text).milli


@lru_cache(maxsize=8192)
def canonical(text: str | int | float) -> str:
    """Parse and print in canonical form, as the server stores it. Raises ValueError."""
    return str(parse(text))


def from_value(amount: int, format_: str = DECIMAL_SI) -> Quantity:
    """Make a quantity of whole units."""
    return Quantity(Decimal(amount), format_)


def from_milli(amount: int) -> Quantity:
    """Make a quantity of thousandths."""
    return Quantity(Decimal(amount).scaleb(-3))


def _ceil(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))


def _bound(amount: Decimal) -> Decimal:
    """Round away from zero to nanos and cap, as the peer does on parsing."""
    if abs(amount) > _MAX:
        return _MAX.copy_sign(amount)
    rounded = abs(amount).quantize(_NANO, rounding=ROUND_CEILING).copy_sign(amount)
    return rounded


def _settle(amount: Decimal, format_: str) -> str:
    """Binary notation needs at least 1024 units or an integer; else it falls back to decimal."""
    if format_ == BINARY_SI and -1024 < amount < 1024:
        return DECIMAL_SI
    return format_


def _print_binary(amount: Decimal) -> str:
    if amount != amount.to_integral_value():
        return _print_decimal(amount, exponent=False)
    number = int(amount)
    best = ""
    for suffix, factor in _BINARY.items():
        if number % factor == 0:
            number_of, best = number // factor, suffix
    return f"{number_of}{best}" if best else str(number)


def _print_decimal(amount: Decimal, *, exponent: bool) -> str:
    sign, digits, power = amount.as_tuple()
    assert isinstance(power, int)
    number = int("".join(map(str, digits)))
    while number % 10 == 0:
        number //= 10
        power += 1
    while power % 3:
        number *= 10
        power -= 1
    while power > 18:
        number *= 1000
        power -= 3
    mark = "-" if sign else ""
    if exponent:
        return f"{mark}{number}e{power}" if power else f"{mark}{number}"
    return f"{mark}{number}{_SUFFIX_OF_EXPONENT[power]}"
