"""Leader election by a Lease: of several equal processes one works.

The holder renews; another takes over when the record has not changed for lease_duration_s of its own clock,
so clocks need not agree. A holder that cannot renew in time stops its work before anyone else may begin.
A process that comes back with the same identity resumes at once: give it the host's name, not a random one.
Source: client-go tools/leaderelection/leaderelection.go; constants from component-base config/v1alpha1.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Never

from nanokube.api import errors, resources, timestamps
from nanokube.client.interface import ApiClient
from nanokube.kit import clock, tasks

log = logging.getLogger(__name__)
LEASES = resources.get("leases.coordination.k8s.io")


class LeadershipLost(RuntimeError):
    """The lease could not be renewed in time; the work was stopped."""


@dataclasses.dataclass(frozen=True, slots=True)
class Election:
    """What is competed for, and how patiently."""

    name: str
    identity: str
    namespace: str = "kube-system"
    lease_duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0


class Elector:
    """One candidate."""

    def __init__(self, client: ApiClient, election: Election, *, time: clock.Clock = clock.SYSTEM) -> None:
        self._client = client
        self._election = election
        self._clock = time
        self._seen: dict[str, Any] | None = None
        self._seen_at = 0.0

    async def run(self, lead: Callable[[], Coroutine[Any, Any, object]]) -> Never:
        """Wait to be elected, then run lead() for as long as the lease is renewed.

        Raises LeadershipLost, or what lead() raised; on cancellation the lease is released.
        """
        await self._acquire()
        log.info("became leader: lease=%s identity=%s", self._election.name, self._election.identity)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(), name=f"lease {self._election.name}")
                group.create_task(lead(), name=f"leader {self._election.name}")
        except Exception:
            tasks.recover()  # or what follows might end this task unheard, and the process would stay, idle
            raise
        finally:
            await self._release()
        raise LeadershipLost(f"work of lease {self._election.name} ended")

    async def _acquire(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._election.retry_period_s)

    async def _renew(self) -> Never:
        renewed = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._election.retry_period_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._election.renew_deadline_s):
                    if await self._try():
                        renewed = self._clock.monotonic()
            if self._clock.monotonic() - renewed >= self._election.renew_deadline_s:
                raise LeadershipLost(f"cannot renew lease {self._election.name} in time")

    async def _try(self) -> bool:
        """Make or renew the record; False when another holds it or the server cannot be reached."""
        try:
            return await self._take()
        except (errors.ApiError, OSError) as err:
            log.debug("lease not taken: lease=%s error=%s", self._election.name, tasks.describe(err))
            return False

    async def _take(self) -> bool:
        election = self._election
        try:
            lease = await self._client.get(LEASES, election.name, election.namespace)
        except errors.ApiError as err:
            if err.code != 404:
                raise
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": election.name, "namespace": election.namespace},
                "spec": self._record({}),
            }
            self._observe((await self._client.create(LEASES, body))["spec"])
            return True
        spec = lease.get("spec") or {}
        self._observe(spec)
        if not self._may_take(spec):
            return False
        written = await self._client.update(LEASES, {**lease, "spec": self._record(spec)})
        self._observe(written["spec"])
        return True

    def _may_take(self, spec: dict[str, Any]) -> bool:
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._election.identity):
            return True
        age_s = self._clock.monotonic() - self._seen_at
        return age_s >= float(spec.get("leaseDurationSeconds") or self._election.lease_duration_s)

    def _observe(self, spec: dict[str, Any]) -> None:
        if spec != self._seen:
            self._seen = spec
            self._seen_at = self._clock.monotonic()

    def _record(self, old: dict[str, Any]) -> dict[str, Any]:
        now = timestamps.format_micro(self._clock.time())
        same = old.get("holderIdentity") == self._election.identity
        return {
            "holderIdentity": self._election.identity,
            "leaseDurationSeconds": int(self._election.lease_duration_s),
            "acquireTime": old.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if same or not old else 1),
        }

    async def _release(self) -> None:
        """Give the lease back, so that the next leader need not wait. Bounded; failing is harmless."""
        with contextlib.suppress(errors.ApiError, OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                lease = await self._client.get(LEASES, self._election.name, self._election.namespace)
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") == self._election.identity:
                    released = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.update(LEASES, {**lease, "spec": released})
