"""Asks extension servers whether they are there and what they serve; writes the condition Available.

    APIService, Service or EndpointSlice changed, or 30 s ──> Service there? ──> GET /apis/<group>/<version>
        ──> discovery ──> condition ──> OpenAPI

Source: staging kube-aggregator pkg/controllers/status/remote, pkg/apiserver/handler_discovery.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from prometheus_client import Gauge

from nanokube.api import errors, resources, selectors
from nanokube.apiserver.aggregator import availability
from nanokube.apiserver.aggregator.availability import Verdict
from nanokube.apiserver.aggregator.connector import Connector, Unreachable
from nanokube.apiserver.aggregator.documents import Documents
from nanokube.apiserver.aggregator.table import NAME, Remote, Table
from nanokube.apiserver.authn import remote_user
from nanokube.apiserver.authn.user import MASTERS, OWN, User
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints.subresources import no_check
from nanokube.apiserver.registry import update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

AGGREGATOR: Final = User("system:kube-aggregator", (MASTERS,))
RESYNC_S: Final = 30.0
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 30.0
CHECK_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 5  # at once, of which one must succeed: endpoints come and go
_SERVICES, _SLICES = "services", "endpointslices.discovery.k8s.io"
_SLICE_LABEL: Final = "kubernetes.io/service-name"


class Monitor:
    """Looks after all remotes; each is looked at by one task at a time."""

    def __init__(self, registry: Registry, table: Table, connector: Connector, documents: Documents) -> None:
        self._registry = registry
        self._table = table
        self._connector = connector
        self._documents = documents
        self._pending: set[str] = set()
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._changed = asyncio.Event()
        self.unavailable = Gauge(
            "aggregator_unavailable_apiservice",
            "Gauge of APIServices which are marked as unavailable broken down by APIService name.",
            ["name"],
            registry=None,
        )
        table.listeners.append(self._add)

    def offer(self, change: Change) -> None:
        """A Service or an EndpointSlice changed."""
        if not self._table:
            return
        item = change.item
        name = item.labels().get(_SLICE_LABEL, "") or item.name
        for remote in self._table.all():
            if (remote.namespace, remote.service) == (item.namespace, name):
                self._add(remote.name)

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    def _add(self, name: str) -> None:
        self._pending.add(name)
        self._changed.set()

    async def run(self) -> Never:
        """Look after the remotes until cancelled."""
        detach = [self._registry.caches.of(each).attach(self) for each in (_SERVICES, _SLICES)]
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._pending.update(remote.name for remote in self._table.all())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RESYNC_S):
                            while True:
                                self._start(group)
                                await self._changed.wait()
        finally:
            for each in detach:
                each()
        raise AssertionError("unreachable")

    def _start(self, group: asyncio.TaskGroup) -> None:
        self._changed.clear()
        ready = self._pending - self._busy
        self._pending -= ready
        self._busy |= ready
        for name in ready:
            group.create_task(self._guarded(name), name=f"look at api service {name}")

    async def _guarded(self, name: str) -> None:
        try:
            is_well = await self.look(name)
        except errors.ApiError as err:
            is_well = errors.is_not_found(err)
            if not is_well:
                log.warning("api service not judged: name=%s error=%s", name, err.message)
        except Exception:  # one server that says what we read wrong must not end the others, and this one
            log.exception("api service not judged: name=%s", name)
            is_well = False
        finally:
            self._busy.discard(name)
            self._changed.set()  # it may be pending again
        if is_well:
            self._failures.pop(name, None)
            return
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        delay = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures, 10))
        asyncio.get_running_loop().call_later(delay, self._add, name)

    async def look(self, name: str) -> bool:
        """Judge a remote and learn what it serves; tell whether that is all for now. Raises ApiError."""
        remote = self._table.named(name)
        if remote is None:
            self._documents.forget(name)
            with contextlib.suppress(KeyError):
                self.unavailable.remove(name)
            return True
        verdict = availability.of_service(remote, *self._behind(remote))
        is_asked = verdict is None
        if verdict is None:
            verdict = await self._check(remote)
        if verdict.is_available:
            await self._documents.learn_resources(remote)
        else:
            self._documents.lose(remote)
        await self._say(remote, verdict)
        if verdict.is_available:
            await self._documents.learn_openapi(remote)
        # What the objects say changes with them; a server comes back when it likes.
        return verdict.is_available or not is_asked

    def _behind(self, remote: Remote) -> tuple[Mapping[str, Any] | None, list[Mapping[str, Any]]]:
        labels = selectors.from_labels({_SLICE_LABEL: remote.service})
        slices = self._registry.caches.of(_SLICES).select(Selection(remote.namespace, labels=labels))
        service = self._registry.find(_SERVICES, f"{remote.namespace}/{remote.service}")
        return service, [item.object() for item in slices]

    async def _check(self, remote: Remote) -> Verdict:
        cause = await self._ask(remote)
        if cause:
            found = await asyncio.gather(*(self._ask(remote) for _ in range(ATTEMPTS - 1)))
            cause = found[-1] if all(found) else ""
        return availability.failed(cause) if cause else availability.PASSED

    async def _ask(self, remote: Remote) -> str:
        """Ask for what every extension server must serve; return what was wrong, or nothing."""
        where = f"https://{remote.host}:{remote.port}{remote.path}"
        try:
            fields = remote_user.fields_of(AGGREGATOR)
            status, _, _ = await self._connector.fetch(remote, remote.path, fields, CHECK_TIMEOUT_S)
        except Unreachable as err:
            return f'failing or missing response from {where}: Get "{where}": {err}'
        if 200 <= status < 300:
            return ""
        return f"failing or missing response from {where}: bad status from {where}: {status}"

    async def _say(self, remote: Remote, verdict: Verdict) -> None:
        self.unavailable.labels(remote.name).set(0 if verdict.is_available else 1)
        live = self._registry.find(NAME, remote.name)
        if live is None or live["metadata"]["uid"] != remote.uid or availability.is_said(live, verdict):
            return
        call = Call(OWN, resources.get(NAME), "", remote.name, "status", manager="kube-apiserver")
        now = self._registry.now()
        await update.update(
            self._registry, call, lambda old: availability.say(old, verdict, now),
            prepare=lambda new, old: None, check=no_check, shares=True,
        )  # fmt: skip
        log.info(
            "api service judged: name=%s available=%s reason=%s: %s",
            remote.name,
            verdict.is_available,
            verdict.reason,
            verdict.message,
        )
