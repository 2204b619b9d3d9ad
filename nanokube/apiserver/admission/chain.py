"""Admission: plugins that change and then judge a write, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.api.resources import Resource
from nanokube.apiserver.authn.user import User

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"


@dataclass(slots=True)
class Attributes:
    """A write. obj: the new object, changed in place by mutate; None on delete. old: None on create.

    warnings: what plugins want the client to be told.
    """

    operation: str
    user: User
    resource: Resource
    namespace: str
    name: str
    subresource: str
    obj: dict[str, Any] | None
    old: Mapping[str, Any] | None
    is_dry_run: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def full(self) -> str:
        """ "pods", "pods/binding"."""
        return f"{self.resource.name}/{self.subresource}" if self.subresource else self.resource.name


class Plugin:
    """One rule. Both hooks raise ApiError to refuse."""

    async def mutate(self, attributes: Attributes) -> None:
        """Change attributes.obj in place."""

    async def validate(self, attributes: Attributes) -> None:
        """Judge the final object."""


class Chain:
    """The plugins in order."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._mutating = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        self._validating = [p for p in plugins if type(p).validate is not Plugin.validate]

    async def mutate(self, attributes: Attributes) -> None:
        """Let every plugin change the object."""
        for plugin in self._mutating:
            await plugin.mutate(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """Let every plugin judge the object."""
        for plugin in self._validating:
            await plugin.validate(attributes)
