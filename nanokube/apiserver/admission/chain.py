"""Admission: plugins that change and then judge a write, in a fixed order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, ClassVar, Final, Protocol

from nanokube.api.errors import ApiError
from nanokube.api.known_specs import Known
from nanokube.api.replicas import Sent
from nanokube.api.resources import Resource
from nanokube.apiserver.admission import timing
from nanokube.apiserver.admission.timing import Row, Timing
from nanokube.apiserver.authn.user import OWN, User

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"
_MAX_ROWS: Final = 4096  # of kinds of requests, of which definitions come and go


@dataclass(slots=True)
class Attributes:
    """A write. obj: the new object, changed in place by mutate; None on delete. old: None on create.

    warnings: what plugins want the client to be told. requested: the resource as it was addressed, where
    that is another view of the same objects. options: fields of CreateOptions and the like, as they came.
    annotations, request_annotations: for the audit log; the latter from level Request on.
    is_changed: webhooks or policies have changed the object. goes_again: they ask for a second round, in
    which round is 1. notes: what a plugin keeps from one round to the next. is_consequence: of another write,
    which webhooks and policies were asked about. sent: what is kept of the spec of a new Pod. recalled: what
    is known of a replica's spec, and the spec as JSON; its tree is nobody's to change.
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
    sent: Sent | None = None
    recalled: tuple[Known, bytes] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether webhooks and policies are not asked: this follows from what was admitted."""
        return self.is_consequence or self.user is OWN

    @property
    def full(self) -> str:
        """ "pods", "pods/binding"."""
        return f"{self.resource.name}/{self.subresource}" if self.subresource else self.resource.name


Call = Callable[[Attributes], Awaitable[None]]


class Replicas(Protocol):
    """What plugins made of specs before (`replicas.py`)."""

    def recall(self, attributes: Attributes) -> bool:
        """Put in what plugins would make of the spec of a new Pod, in place; False: it is not known."""
        ...

    async def learn(self, attributes: Attributes, admit: Call) -> None:
        """Have plugins make a spec, and keep it if it would be the same for others. Raises ApiError."""
        ...


class Plugin:
    """One rule. Both hooks raise ApiError to refuse.

    is_configured: clients say what it does. waits: for others or the disk, so that it is measured how long.
    name: upstream's, where it is not the class's. made_of: storage names, if what mutate makes of
    a new Pod follows from its spec, its namespace and these objects, but that it draws the name of a volume.
    """

    is_configured: ClassVar[bool] = False
    waits: ClassVar[bool] = False
    name: ClassVar[str] = ""
    made_of: ClassVar[Sequence[str] | None] = None

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests. resource: its name."""
        return True

    def may_change(self, attributes: Attributes) -> bool:
        """Tell whether something is configured that mutate must ask about such a request."""
        return False

    async def mutate(self, attributes: Attributes) -> None:
        """Change attributes.obj in place."""

    async def validate(self, attributes: Attributes) -> None:
        """Judge the final object."""


class Chain:
    """The plugins in order. Those that clients configure, webhooks and policies, are among the last.

    times: what was measured. replicas: what was made of specs before.
    """

    def __init__(
        self, plugins: Sequence[Plugin], times: Timing | None = None, replicas: Replicas | None = None
    ) -> None:
        self.times = times = times or Timing()
        self._replicas = replicas
        mutating = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        validating = [p for p in plugins if type(p).validate is not Plugin.validate]
        self._mutating = _Phase(timing.ADMIT, [(p, p.mutate) for p in mutating], times)
        asked = [p for p in mutating if p.made_of is None]  # of replicas, too
        self._of_replicas = _Phase(timing.ADMIT, [(p, p.mutate) for p in asked], times)
        self._may_change = [p.may_change for p in mutating if p.is_configured]
        self._validating = _Phase(timing.VALIDATE, [(p, p.validate) for p in validating], times)
        chosen = [p for p in plugins if p.is_configured]
        self._configured = Chain(chosen, times) if len(chosen) < len(plugins) else self

    async def mutate(self, attributes: Attributes) -> None:
        """Let every plugin change the object; once more if webhooks or policies did and others may care."""
        a, replicas = attributes, self._replicas
        if a.sent is None or a.obj is None or a.obj["spec"] is not a.sent.tree:
            await self._change(a)
        elif replicas is None or any(may_change(a) for may_change in self._may_change):
            a.obj["spec"] = a.sent.copy()
            await self._change(a)
        elif replicas.recall(a):
            await self._of_replicas.run(a)
        else:
            a.obj["spec"] = a.sent.copy()
            await replicas.learn(a, self._change)

    async def _change(self, attributes: Attributes) -> None:
        await self._mutating.run(attributes)
        if attributes.goes_again:
            attributes.round = 1
            await self._mutating.run(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """Let every plugin judge the object."""
        await self._validating.run(attributes)

    async def ask_configured(self, attributes: Attributes) -> None:
        """Let only webhooks and policies change and judge: where the rest is asked about what follows."""
        await self._configured.mutate(attributes)
        await self._configured.validate(attributes)


class _Phase:
    """What all plugins do in one phase, and how long those take for it that may wait."""

    def __init__(self, name: str, steps: Sequence[tuple[Plugin, Call]], times: Timing) -> None:
        self._name = name
        self._steps = steps
        self._times = times
        self._rows: dict[tuple[str, str, str], Sequence[tuple[str, Call, Row | None]]] = {}

    async def run(self, attributes: Attributes) -> None:
        """Call the plugins in order. Raises ApiError."""
        operation = attributes.operation
        about = operation, attributes.resource.name, attributes.subresource
        steps = self._rows.get(about) or self._prepared(*about)
        started = before = perf_counter_ns()
        step = None
        try:
            for step in steps:
                row = step[2]
                if row is None:
                    await step[1](attributes)
                    continue
                before = perf_counter_ns()
                await step[1](attributes)
                now = perf_counter_ns()
                timing.add(row, now - before)
                before = now
        except ApiError as err:
            now = perf_counter_ns()
            name = step[0] if step is not None else ""
            timing.add(self._times.plugin(name, self._name, operation, is_rejected=True), now - before)
            timing.add(self._times.step(self._name, operation, is_rejected=True), now - started)
            err.warnings = attributes.warnings
            raise
        timing.add(self._times.step(self._name, operation), perf_counter_ns() - started)

    def _prepared(
        self, operation: str, resource: str, subresource: str
    ) -> Sequence[tuple[str, Call, Row | None]]:
        found = [
            (_name(p), call, self._times.plugin(_name(p), self._name, operation) if p.waits else None)
            for p, call in self._steps
            if p.is_about(operation, resource, subresource)
        ]
        if len(self._rows) >= _MAX_ROWS:
            self._rows.clear()
        self._rows[operation, resource, subresource] = found
        return found


def _name(plugin: Plugin) -> str:
    return plugin.name or type(plugin).__name__
