"""The shell around every reconcile function: queue, workers, back-off, logs.

A reconcile function takes a key, reads caches, writes through the client, and returns None (done) or the
seconds after which it wants to see the key again. It may fail: the key comes back with exponential back-off.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Never, TypeAlias

from nanokube.api import errors, objects
from nanokube.api.objects import Object
from nanokube.client import informer, refusals, workqueue
from nanokube.kit import tasks

log = logging.getLogger(__name__)

Reconcile: TypeAlias = Callable[[str], Awaitable[float | None]]
KeysOf: TypeAlias = Callable[[Object], Iterable[str]]

# "controller key" of the reconcile under way, for log records and trace headers.
current: contextvars.ContextVar[str] = contextvars.ContextVar("nanokube_reconcile", default="")


class Runner:
    """Feeds keys from informers to a reconcile function."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        workers: int = 4,
        queue: workqueue.WorkQueue | None = None,
    ) -> None:
        self.name = name
        self.queue = queue or workqueue.WorkQueue()
        self._reconcile = reconcile
        self._workers = workers
        self._sources: list[informer.Informer] = []

    def watches(self, source: informer.Informer, keys_of: KeysOf | None = None) -> None:
        """Queue keys_of(old) and keys_of(new) at each change of source; by default the object's own key."""
        self._sources.append(source)
        give = keys_of or _own_key

        def handle(change: informer.Change, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
            for key in give(new):
                self.queue.add(key)
            if old is not None and keys_of is not None:
                for key in give(old):
                    self.queue.add(key)

        source.subscribe(handle)

    def reads(self, source: informer.Informer) -> None:
        """Wait for source to be filled before the first reconcile, without queueing its changes."""
        self._sources.append(source)

    @property
    def sources(self) -> Sequence[informer.Informer]:
        return self._sources

    async def run(self) -> Never:
        """Reconcile until cancelled, once every source is filled."""
        try:
            await informer.wait_synced(*self._sources)
            log.debug("started: controller=%s workers=%d", self.name, self._workers)
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name} {number}")
        finally:
            self.queue.close()
        raise AssertionError("workers never end")

    async def _work(self) -> Never:
        while True:
            key = await self.queue.get()
            try:
                await self.step(key)
            finally:
                self.queue.done(key)

    async def step(self, key: str) -> None:
        """Reconcile one key and queue it again as its outcome asks."""
        token = current.set(f"{self.name} {key}")
        try:
            again_s = await self._reconcile(key)
        except Exception as err:
            tasks.recover()
            if refusals.is_namespace_terminating(err):
                self.queue.forget(key)
                return
            wait_s = self.queue.add_rate_limited(key)
            self._log_failure(key, err, wait_s)
        else:
            self.queue.forget(key)
            if again_s is not None:
                self.queue.add_after(key, again_s)
        finally:
            current.reset(token)

    def _log_failure(self, key: str, err: Exception, wait_s: float) -> None:
        ordinary = isinstance(err, OSError) or (isinstance(err, errors.ApiError) and err.code in (404, 409))
        level = logging.DEBUG if ordinary and self.queue.failures(key) < 5 else logging.WARNING
        log.log(
            level,
            "reconcile failed: controller=%s key=%s error=%s retry_s=%.3f",
            self.name,
            key,
            tasks.describe(err),
            wait_s,
            exc_info=None if isinstance(err, (OSError, errors.ApiError)) else err,
        )


def _own_key(obj: Object) -> Iterable[str]:
    return (objects.key(obj),)
