"""What a kind does around the writes of its objects, beyond the objects themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nanokube.api.field import FieldError
from nanokube.api.objects import Object

Undo = Callable[[], None]


class Lost(Exception):
    """Another server allocated the same first. learn: to be called once what was allocated is given back."""

    def __init__(self, message: str, learn: Callable[[], None]) -> None:
        super().__init__(message)
        self.learn = learn


def nothing() -> None:
    """Undo nothing."""


class Hooks:
    """Called under no lock, on the loop, without awaiting (but claim): each is one step for everyone else."""

    @property
    def is_shared(self) -> bool:
        """Other servers allocate too, so that an allocation may be lost to them."""
        return False

    def before_create(self, obj: dict[str, Any], *, is_dry_run: bool) -> Undo:
        """Allocate for a new object, in place; return what gives it back. Raises ApiError."""
        return nothing

    def before_update(self, new: dict[str, Any], old: Mapping[str, Any], *, is_dry_run: bool) -> Undo:
        """Allocate for a changed object, in place; return what gives it back. Raises ApiError."""
        return nothing

    def judge(self, new: Object, old: Object | None, subresource: str) -> list[FieldError]:
        """Tell what is wrong by what other objects say. old: None on create."""
        return []

    async def claim(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Make sure, last before the write, that nobody allocated the same. Raises ApiError, Lost."""

    def after_update(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Release what the committed change no longer uses."""

    def after_delete(self, obj: Mapping[str, Any]) -> None:
        """Release what the deleted object used."""
