"""Columns of a table, and the cells that many kinds share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object

NONE: Final = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; priority 0 is always shown, 1 with `-o wide`."""

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """Build the TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


NAME: Final = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE: Final = Column("Age", description="Time since the object was created.")


def wide(name: str, type_: str = "string") -> Column:
    """Make a column that only `-o wide` shows."""
    return Column(name, type_, 1)


def no_conditions(obj: Object) -> list[dict[str, str]]:
    """Return no row conditions."""
    return []


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a kind and how an object fills them; cells are in the order of the definitions."""

    definitions: Sequence[Column]
    cells: Callable[[Object, float], list[Any]]
    row_conditions: Callable[[Object], list[dict[str, str]]] = no_conditions


def age(obj: Object, now: float) -> str:
    """Return the Age cell."""
    return timestamps.age(objects.creation_timestamp(obj), now)


def join(values: Iterable[str], empty: str = NONE) -> str:
    """Join values by commas."""
    return ",".join(values) or empty


def print_labels(labels: Mapping[str, str] | None) -> str:
    """Print a map of labels."""
    return join(f"{k}={v}" for k, v in sorted((labels or {}).items()))


def first_of(values: Sequence[str], empty: str = "<unset>", limit: int = 3) -> str:
    """Print the first values and how many more there are."""
    text = ",".join(values[:limit])
    return f"{text} + {len(values) - limit} more..." if len(values) > limit else text or empty


def _default_cells(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), objects.creation_timestamp(obj)]


DEFAULT: Final = Columns((NAME, Column("Created At", "date")), _default_cells)
