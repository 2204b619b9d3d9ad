"""Errors of a custom resource's values while they are collected: where, and which are tolerated. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from nanokube.api import field
from nanokube.api.custom.node import Node
from nanokube.api.field import FieldError

Path: TypeAlias = "tuple[Path, str | int] | None"
"""Where a value is: the path of what holds it, and its key or index; None is the root."""
Tolerates = Callable[[Path], bool]

NOWHERE = "<nil>"
"""The path that upstream prints for errors that have none."""


class Problems(list[FieldError]):
    """Field errors. tolerates: whether the value at a path is as it was before, so that it may stay wrong.

    base: where the validated value is within the object: "" or "status".
    """

    def __init__(self, base: str = "", tolerates: Tolerates | None = None) -> None:
        super().__init__()
        self.base = base
        self.tolerates = tolerates

    def branch(self) -> Problems:
        """Make an empty list for one of several alternatives."""
        return Problems(self.base, self.tolerates)

    def forgive(self, path: Path, start: int) -> None:
        """Drop the errors from `start` on if the value at the path is tolerated."""
        if self.tolerates is not None and self.tolerates(path):
            del self[start:]

    def place(self, name: str) -> str:
        """Return the field path of a value with that name in messages."""
        name = name.removeprefix(".")
        if self.base and name:
            return f"{self.base}.{name}"
        return self.base or name or NOWHERE

    def invalid(self, path: Path, value: Any, detail: str, suffix: str = "") -> None:
        """Add an invalid value; `detail` follows the value's name."""
        name = show(path)
        self.append(field.invalid(self.place(name), value, f"{name}{suffix} in body {detail}"))

    def wrong_type(self, path: Path, wanted: str, found: str) -> None:
        """Add a value of the wrong type."""
        name = show(path)
        detail = f"{name} in body must be of type {wanted}: {field.quote(found)}"
        self.append(field.type_invalid(self.place(name), found, detail))

    def whole(self, message: str) -> None:
        """Add an error that upstream puts at no field."""
        self.append(field.invalid(self.base or NOWHERE, "", message))


def at(node: Node, path: str, key: str) -> str:
    """Return the field path of a member: fields by a dot, keys of maps in brackets."""
    if key not in node.properties and node.allows_additional is not None:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def show(path: Path) -> str:
    """Print a path as messages do: "spec.items[0].name"."""
    parts: list[str] = []
    while path is not None:
        path, step = path
        parts.append(f"[{step}]" if type(step) is int else f".{step}")
    return "".join(reversed(parts)).removeprefix(".")


def steps(path: Path) -> list[str | int]:
    """Return the keys and indexes of a path, from the root."""
    found: list[str | int] = []
    while path is not None:
        path, step = path
        found.append(step)
    return found[::-1]
