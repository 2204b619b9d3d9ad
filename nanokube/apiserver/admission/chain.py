"""Admission: plugins that change and then judge a write, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from nanokube.api.errors import ApiError
from nanokube.api.resources import Resource
from nanokube.apiserver.authn.user import OWN, User

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"


@dataclass(slots=True)
class Attributes:
    """A write. obj: the new object, changed in place by mutate; None on delete. old: None on create.

    warnings: what plugins want the client to be told. requested: the resource as it was addressed, where
    that is another view of the same objects. options: fields of CreateOptions and the like, as they came.
    annotations, request_annotations: for the audit log; the latter from level Request on.
    is_changed: webhooks or policies have changed the object. goes_again: they ask for a second round, in
    which round is 1. notes: what a plugin keeps from one round to the next. is_consequence: of another write,
    which webhooks and policies were asked about.
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
    requested: Resource | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    request_annotations: dict[str, str] = field(default_factory=dict)
    is_changed: bool = False
    goes_again: bool = False
    round: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    is_consequence: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether webhooks and policies are not asked: this follows from what was admitted."""
        return self.is_consequence or self.user is OWN

    @property
    def full(self) -> str:
        """ "pods", "pods/binding"."""
        return f"{self.resource.name}/{self.subresource}" if self.subresource else self.resource.name


class Plugin:
    """One rule. Both hooks raise ApiError to refuse. is_configured: clients say what it does."""

    is_configured: ClassVar[bool] = False

    async def mutate(self, attributes: Attributes) -> None:
        """Change attributes.obj in place."""

    async def validate(self, attributes: Attributes) -> None:
        """Judge the final object."""


class Chain:
    """The plugins in order. Those that clients configure, webhooks and policies, are among the last."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._mutating = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        self._validating = [p for p in plugins if type(p).validate is not Plugin.validate]
        self._configured = Chain([p for p in plugins if p.is_configured]) if _mixed(plugins) else self

    async def mutate(self, attributes: Attributes) -> None:
        """Let every plugin change the object; once more if webhooks or policies did and others may care."""
        try:
            for plugin in self._mutating:
                await plugin.mutate(attributes)
            if attributes.goes_again:
                attributes.round = 1
                for plugin in self._mutating:
                    await plugin.mutate(attributes)
        except ApiError as err:
            err.warnings = attributes.warnings
            raise

    async def validate(self, attributes: Attributes) -> None:
        """Let every plugin judge the object."""
        try:
            for plugin in self._validating:
                await plugin.validate(attributes)
        except ApiError as err:
            err.warnings = attributes.warnings
            raise

    async def ask_configured(self, attributes: Attributes) -> None:
        """Let only webhooks and policies change and judge: where the rest is asked about what follows."""
        await self._configured.mutate(attributes)
        await self._configured.validate(attributes)


def _mixed(plugins: Sequence[Plugin]) -> bool:
    return any(not p.is_configured for p in plugins)
