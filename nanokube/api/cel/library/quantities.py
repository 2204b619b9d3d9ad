"""Quantities in expressions. Pure. Source: k8s.io/apiserver/pkg/cel/library/quantity.go."""

from __future__ import annotations

from nanokube.api import quantity
from nanokube.api.cel.library.opaque import NoSuchOverload, Quantity

_MAX = (1 << 63) - 1


def parse(text: str) -> Quantity:
    """`quantity("1Gi")`. Raises ValueError with Kubernetes' wording."""
    return Quantity(str(quantity.parse(text)))


def is_quantity(text: str) -> bool:
    """`isQuantity("1Gi")`."""
    return quantity.is_valid(text)


def sign(given: Quantity) -> int:
    """`sign(q)`: -1, 0, or 1."""
    amount = _read(given).amount
    return (amount > 0) - (amount < 0)


def compare(left: Quantity, right: Quantity) -> int:
    """Order two amounts, whatever their notation: -1, 0, or 1."""
    a, b = _read(left).amount, _read(right).amount
    return (a > b) - (a < b)


def as_float(given: Quantity) -> float:
    """`q.asApproximateFloat()`."""
    return float(_read(given).amount)


def is_integer(given: Quantity) -> bool:
    """`q.isInteger()`: whether it is whole and fits 64 bits; what was cut to the largest of them does not."""
    amount = _read(given).amount
    return amount == int(amount) and abs(amount) < _MAX


def as_integer(given: Quantity) -> int:
    """`q.asInteger()`."""
    if not is_integer(given):
        raise ValueError("cannot convert value to integer")
    return int(_read(given).amount)


def add(left: Quantity, right: Quantity | int) -> Quantity:
    """`q.add(…)`."""
    return Quantity(str(_read(left) + _amount(right)))


def sub(left: Quantity, right: Quantity | int) -> Quantity:
    """`q.sub(…)`."""
    return Quantity(str(_read(left) - _amount(right)))


def _read(given: Quantity) -> quantity.Quantity:
    if not isinstance(given, Quantity):
        raise NoSuchOverload
    return quantity.parse(given.text)


def _amount(given: Quantity | int) -> quantity.Quantity:
    return quantity.from_value(given) if isinstance(given, int) else _read(given)
