"""List, then watch: a cache of one resource that follows the server, through its restarts too.

A lost connection resumes the watch from the last revision seen (bookmarks keep it young); only 410 Expired
lists again. Handlers see every change once, in order, as differences to the cache: a relist that shows the
same resourceVersion stays silent.
Source: client-go tools/cache/{reflector,delta_fifo,shared_informer}.go.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Literal, Never, Protocol, TypeAlias

from nanokube.api import errors, objects, resources
from nanokube.client import store
from nanokube.client.interface import ApiClient, WatchEvent
from nanokube.kit import backoff, tasks

log = logging.getLogger(__name__)

Change: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]
Transform: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

FIRST_RETRY_S = 0.05
# A restarted server is found within a second; a client per resource asking that often costs it nothing.
LAST_RETRY_S = 0.6
# What is refused stays so for long: a conversion webhook is broken, a right is missing. Source: reflector.go.
LAST_RETRY_REFUSED_S = 30.0
_OUTAGES = (429, 503, 504)  # of the server or its store
WATCH_TIMEOUT_S = 300  # reflector.go: minWatchTimeout is 5 min, stretched at random up to twice


class Handler(Protocol):
    """Told of one change: old is None for ADDED, new is the last state known for DELETED. Must not block."""

    def __call__(self, change: Change, old: dict[str, Any] | None, new: dict[str, Any], /) -> None: ...


class Informer(store.Store):
    """The cached objects of one resource, selected on the server. Filled by run(); read by anyone."""

    def __init__(
        self,
        client: ApiClient,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        transform: Transform | None = None,
    ) -> None:
        super().__init__()
        self.resource = resource
        self.synced = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._transform = transform
        self._handlers: list[Handler] = []
        self._revision = ""
        self._delays = backoff.Backoff(FIRST_RETRY_S, 1.6, LAST_RETRY_S, jitter=0.5)
        self._refused_delays = backoff.Backoff(FIRST_RETRY_S, 1.6, LAST_RETRY_REFUSED_S, jitter=0.5)

    @property
    def revision(self) -> str:
        """The resourceVersion up to which the cache is complete; "" before the first list."""
        return self._revision

    def subscribe(self, handler: Handler) -> None:
        """Tell handler of every change from now on, and at once of what is there, as ADDED."""
        self._handlers.append(handler)
        for obj in self.list():
            self._tell(handler, "ADDED", None, obj)

    async def run(self) -> Never:
        """Follow the server until cancelled. Whatever fails is logged and tried again."""
        while True:
            delays = self._delays
            try:
                if not self._revision:
                    await self._relist()
                await self._follow()
                continue
            except errors.ApiError as err:
                if err.code == 410:
                    log.debug("relisting: resource=%s cause=%s", self.resource.plural, err)
                    self._revision = ""
                else:
                    # not found: the kind went with its definition, and who watches it hears of that soon
                    level = logging.INFO if err.code == 404 else logging.WARNING
                    log.log(level, "watch refused: resource=%s error=%s", self.resource.plural, err)
                    delays = delays if err.code in _OUTAGES else self._refused_delays
            except (OSError, ValueError) as err:
                # ValueError: a line cut off in its middle when the server died is no JSON.
                log.debug("watch lost: resource=%s error=%s", self.resource.plural, tasks.describe(err))
            await asyncio.sleep(delays.next())

    async def _relist(self) -> None:
        """Bring the cache to what is there now; handlers hear only of what differs."""
        listed = await self._client.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        present = {objects.key(obj): obj for obj in listed.items}
        for key in [key for key in self.keys() if key not in present]:
            self._forget(key)
        for obj in present.values():
            self._keep(obj)
        self._revision = listed.resource_version
        self._worked()
        self.synced.set()

    def _worked(self) -> None:
        self._delays.reset()
        self._refused_delays.reset()

    async def _follow(self) -> None:
        """Apply events until the server ends the watch; one that ends at once is an error, to be paced."""
        events = self._client.watch(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=self._revision,
            timeout_s=int(WATCH_TIMEOUT_S * (1 + random.random())),
        )
        began = asyncio.get_running_loop().time()
        count = 0
        async with contextlib.aclosing(events) as stream:
            async for event in stream:
                count += 1
                self._worked()
                self._apply(event)
        if count == 0 and asyncio.get_running_loop().time() - began < 1.0:
            raise ConnectionError("very short watch: it ended with no event")

    def _apply(self, event: WatchEvent) -> None:
        obj = event.object
        if event.type == "DELETED":
            self._forget(objects.key(obj), obj)
        elif event.type in ("ADDED", "MODIFIED"):
            self._keep(obj)
        self._revision = obj["metadata"].get("resourceVersion") or self._revision

    def _keep(self, obj: dict[str, Any]) -> None:
        if self._transform is not None:
            obj = self._transform(obj)
        key = objects.key(obj)
        old = self.get(key)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            # Deleted and made anew while nobody watched: two changes, not one.
            self._forget(key)
            old = None
        self.put(obj)
        if old is None:
            self._tell_all("ADDED", None, obj)
        elif old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            self._tell_all("MODIFIED", old, obj)

    def _forget(self, key: str, last: dict[str, Any] | None = None) -> None:
        old = self.remove(key)
        if old is not None:
            final = self._transform(last) if last is not None and self._transform is not None else last
            self._tell_all("DELETED", old, final or old)

    def _tell_all(self, change: Change, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        for handler in self._handlers:
            self._tell(handler, change, old, new)

    def _tell(
        self, handler: Handler, change: Change, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> None:
        try:
            handler(change, old, new)
        except Exception:
            # One subscriber's fault must not end the cache that the others read.
            log.exception("handler failed: resource=%s key=%s", self.resource.plural, objects.key(new))


class Factory:
    """One informer a resource, shared by all who ask; runs them all, those asked for later too."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._informers: dict[str, Informer] = {}
        self._metadata: set[str] = set()
        self._tasks: dict[str, asyncio.Task[Never]] = {}
        self._group: asyncio.TaskGroup | None = None

    def of(self, resource: resources.Resource) -> Informer:
        """Give the informer of a resource in all namespaces."""
        name = _identity(resource)
        if name in self._metadata:
            raise RuntimeError(f"cannot follow {name} whole: it is followed for its metadata only")
        if name not in self._informers:
            self._informers[name] = Informer(self._client, resource)
            self._start(name)
        return self._informers[name]

    def metadata_of(self, resource: resources.Resource, transform: Transform) -> Informer:
        """Give an informer for metadata only: the one there is, or a new one that keeps transform(object)."""
        name = _identity(resource)
        if name not in self._informers:
            self._informers[name] = Informer(self._client, resource, transform=transform)
            self._metadata.add(name)
            self._start(name)
        return self._informers[name]

    def is_metadata(self, resource: resources.Resource) -> bool:
        """Tell whether the informer of a resource keeps metadata only."""
        return _identity(resource) in self._metadata

    def has(self, resource: resources.Resource) -> bool:
        """Tell whether anyone asked for this resource."""
        return _identity(resource) in self._informers

    def drop(self, resource: resources.Resource) -> None:
        """Stop following a resource that the server no longer has."""
        name = _identity(resource)
        self._informers.pop(name, None)
        self._metadata.discard(name)
        if task := self._tasks.pop(name, None):
            task.cancel()

    async def run(self) -> None:
        """Run the informers until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for name in list(self._informers):
                    self._start(name)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _start(self, name: str) -> None:
        if self._group is not None:
            self._tasks[name] = self._group.create_task(self._informers[name].run(), name=f"informer {name}")


def _identity(resource: resources.Resource) -> str:
    return f"{resource.plural}.{resource.group}"


async def wait_synced(*informers: Informer) -> None:
    """Wait until each informer has listed once."""
    for informer in informers:
        await informer.synced.wait()
