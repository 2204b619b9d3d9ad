"""The event recorder: says what happened to an object, without ever making the speaker wait.

event() puts a record in a bounded queue and returns; run() writes it. Like events are one Event with a
count, floods are dropped (client/correlation.py), and so is what finds the queue full.
Source: client-go tools/record/event.go.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, Never, Protocol

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import correlation, rest
from nanokube.client.interface import ApiClient, PatchKind
from nanokube.kit import backoff, clock, tasks

log = logging.getLogger(__name__)

QUEUE_SIZE = 1000  # event.go: maxQueuedEvents
ATTEMPTS = 12  # event.go: maxTriesPerEvent
EVENTS = resources.get("events")

EventType = Literal["Normal", "Warning"]


class Recorder(Protocol):
    """Where a component reports what happened."""

    def event(self, about: Object, type_: EventType, reason: str, message: str) -> None:
        """Report on an object (with apiVersion and kind) or an ObjectReference. Never blocks or raises."""
        ...


class EventRecorder:
    """A Recorder that writes core/v1 Events as component (on host, for a kubelet)."""

    def __init__(
        self, client: ApiClient, component: str, *, host: str = "", time: clock.Clock = clock.SYSTEM
    ) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = time
        self._queue: asyncio.Queue[correlation.Happening] = asyncio.Queue(QUEUE_SIZE)
        self._correlator = correlation.Correlator()
        self.dropped = 0

    def event(self, about: Object, type_: EventType, reason: str, message: str) -> None:
        """Report on an object (with apiVersion and kind) or an ObjectReference. Never blocks or raises."""
        happening = correlation.Happening(
            reference_to(about), type_, reason, message[:1024], self._clock.time()
        )
        try:
            self._queue.put_nowait(happening)
        except asyncio.QueueFull:
            self.dropped += 1
            log.debug("event dropped: reason=%s dropped=%d", reason, self.dropped)

    async def run(self) -> Never:
        """Write what is reported, until cancelled."""
        while True:
            happening = await self._queue.get()
            try:
                await self._write(happening)
            except Exception as err:
                log.debug("event lost: reason=%s error=%s", happening.reason, tasks.describe(err))

    async def flush(self) -> None:
        """Write what is queued now and return: for tests and orderly ends."""
        while not self._queue.empty():
            await self._write(self._queue.get_nowait())

    async def _write(self, happening: correlation.Happening) -> None:
        series = self._correlator.take(happening)
        if series is None:
            return
        if series.name:
            if await self._count_up(series):
                return
            series.name = ""  # it expired in the server: begin again
        body = self._body(series)
        await _patiently(lambda: self._client.create(EVENTS, body))
        series.name = body["metadata"]["name"]

    async def _count_up(self, series: correlation.Series) -> bool:
        body = {
            "count": series.count,
            "lastTimestamp": timestamps.format_time(series.last_s),
            "message": series.message,
        }
        namespace = _namespace_of(series.about)
        try:
            await _patiently(
                lambda: self._client.patch(EVENTS, series.name, body, namespace, kind=PatchKind.MERGE)
            )
        except errors.ApiError as err:
            if err.code == 404:
                return False
            raise
        return True

    def _body(self, series: correlation.Series) -> dict[str, Any]:
        # The name is the object's and the time in hexadecimal nanoseconds, as kubectl users know it.
        name = f"{series.about.get('name', '')}.{int(series.last_s * 1e9):x}"
        source = {"component": self._component}
        if self._host:
            source["host"] = self._host
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": _namespace_of(series.about)},
            "involvedObject": dict(series.about),
            "reason": series.reason,
            "message": series.message,
            "source": source,
            "firstTimestamp": timestamps.format_time(series.first_s),
            "lastTimestamp": timestamps.format_time(series.last_s),
            "count": series.count,
            "type": series.type,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }


class ListRecorder:
    """A Recorder that keeps "type reason message" lines: for tests."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, about: Object, type_: EventType, reason: str, message: str) -> None:
        self.lines.append(f"{type_} {reason} {message}")


def reference_to(about: Object, *, field_path: str = "") -> dict[str, Any]:
    """Build the ObjectReference of an object; one passed in comes back as it is."""
    if "metadata" not in about:
        return dict(about)
    meta = objects.metadata(about)
    reference = {
        "kind": about.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta.get("name", ""),
        "uid": meta.get("uid", ""),
        "apiVersion": about.get("apiVersion", ""),
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {key: value for key, value in reference.items() if value}


def _namespace_of(about: Object) -> str:
    return about.get("namespace") or "default"


async def _patiently(call: Callable[[], Any]) -> None:
    await rest.when_reachable(
        call, attempts=ATTEMPTS, delays=backoff.Backoff(first_s=0.1, cap_s=10.0, jitter=0.5)
    )
