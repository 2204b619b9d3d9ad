"""watch: changes as they happen, framed once for all who watch in the same form.

Source: staging apiserver pkg/endpoints/handlers/watch.go, pkg/storage/cacher/cache_watcher.go; KEP-3157.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

from nanokube.api import cbor, errors, protobuf_encoder, table
from nanokube.api.resources import Resource
from nanokube.apiserver import websocket
from nanokube.apiserver.cache import cache as caches
from nanokube.apiserver.cache.cache import Cache, Change, TooOld
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints import list_options, negotiate, render
from nanokube.apiserver.endpoints.negotiate import Form
from nanokube.apiserver.endpoints.read import revision_of
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.requestinfo import is_asked
from nanokube.kit.http.message import Answer, StreamResponse
from nanokube.kit.http.stream import Stream, frame

BOOKMARK_INTERVAL_S: Final = 60.0
MIN_TIMEOUT_S: Final = 1800  # --min-request-timeout: a watch without timeoutSeconds lasts 1 to 2 times this
BACKLOG: Final = 20_000  # changes held back while the initial state is sent
BATCH: Final = 100


class View:
    """What the bytes of an event depend on, besides the event: one object for all watches alike."""

    __slots__ = ("__weakref__",)


_views: WeakValueDictionary[tuple[Form, str, Resource], View] = WeakValueDictionary()


def _view(form: Form, include: str, resource: Resource) -> View:
    """Find the view: it is compared for every event, by identity, where its parts would be hashed anew."""
    return _views.setdefault((form, include, resource), View())


class Sender:
    """One watch. Changes before `go_live` are held back behind the initial state."""

    def __init__(self, scope: Scope, cache: Cache, selection: Selection, form: Form, stream: Stream) -> None:
        self._scope = scope
        self._cache = cache
        self._selection = selection
        self._form = form
        self._stream = stream
        self._include = render.include_object(scope.request.query.get("includeObject"), form)
        self._view = _view(form, self._include, scope.resource)
        self._is_plain = selection.is_plain
        self._bookmarks = is_asked(scope.request.query, "allowWatchBookmarks")
        self._held: list[Change] | None = []
        self._ready: list[bytes] = []  # frames that wait for this watch's turn
        self._with_columns = True  # only the first event of a watch of Tables says what the columns mean
        self._next_bookmark = scope.registry.clock.monotonic() + BOOKMARK_INTERVAL_S

    def offer(self, change: Change) -> None:
        """Send a change, if it concerns this watch."""
        if self._held is not None:
            self._held.append(change)
            if len(self._held) > BACKLOG:
                self._stream.abort()
            return
        found = self._classify(change)
        if found is None or self._stream.closed:
            return
        key = (found, self._view, self._with_columns)
        framed = change.encoded.get(key)
        if framed is None:
            type_, is_previous = found
            item = change.item
            if is_previous and change.previous:
                item = self._shown(change.previous).at(change.revision)
            framed = change.encoded[key] = frame(self._event(type_, item))
        self._with_columns = False
        self._ready.append(framed)
        self._cache.outbox.add(self, is_first=len(self._ready) == 1)

    def send(self) -> int:
        """Send what is ready, and tell how many events that was."""
        frames, self._ready = self._ready, []
        if frames and not self._stream.closed:
            piece = frames[0] if len(frames) == 1 else self._cache.outbox.one_piece(frames)
            try:  # noqa: SIM105 - for every event of every watch: suppress() costs as much as the rest
                self._stream.write_framed(piece)
            except ConnectionResetError:
                pass  # the stream's end is seen by who waits for it
        return len(frames)

    def finish(self) -> None:
        """Send what is ready, out of turn."""
        self._cache.outbox.forget(self.send())

    def _classify(self, change: Change) -> tuple[str, bool] | None:
        """Decide what a change is to this selection: (event type, whether the previous state is shown)."""
        selection = self._selection
        if selection.namespace and change.item.namespace != selection.namespace:
            return None
        if self._is_plain:
            return change.type, False
        before = change.previous is not None and self._matches(change.previous)
        if change.type == caches.DELETED:
            return (caches.DELETED, False) if before else None
        if self._matches(change.item):
            return (caches.MODIFIED if before else caches.ADDED), False
        return (caches.DELETED, True) if before else None

    def _matches(self, item: Item) -> bool:
        """Tell whether an object is selected."""
        return self._selection.matches(item, self._cache.read_fields)

    def _shown(self, item: Item) -> Item:
        """Give an object in the version that is watched."""
        return item

    def limit(self, deadline: asyncio.Timeout) -> None:
        """Take note of what ends this watch."""

    async def serve(self) -> None:
        """Wait until the client leaves."""
        await self._stream.wait_closed()

    async def initial(self) -> list[Item]:
        """Select the present state; what happens from the call on is held back."""
        return self._cache.select(self._selection)

    async def send_initial(self, items: list[Item]) -> None:
        """Send the present state as ADDED events, at the speed of the reader."""
        for start in range(0, len(items), BATCH):
            batch = [self._event(caches.ADDED, item) for item in items[start : start + BATCH]]
            self._stream.write(b"".join(batch))
            await self._stream.drain()

    def go_live(self) -> None:
        """Send what was held back, then live."""
        held, self._held = self._held or [], None
        for change in held:
            self.offer(change)

    def tick(self, now: float, revision: int) -> None:
        """Send a bookmark when it is time."""
        if self._bookmarks and self._held is None and now >= self._next_bookmark:
            self._next_bookmark = now + BOOKMARK_INTERVAL_S
            self.finish()
            with contextlib.suppress(ConnectionResetError):
                self.bookmark(revision)

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> None:
        """Tell how far this watch has seen. Raises ConnectionResetError."""
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if ends_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._scope.resource
        found: dict[str, Any] = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        if self._form.shape:
            now, whole = self._scope.registry.clock.time(), self._include == table.WHOLE_OBJECT
            include = self._include if whole else table.METADATA_ONLY  # which has the annotation
            found = render.shaped(resource, found, self._form, now, include, with_columns=False)
            if not ends_initial and "rows" in found:
                found["rows"] = []
        self._stream.write(event("BOOKMARK", orjson.dumps(found), self._form))

    def _event(self, type_: str, item: Item) -> bytes:
        now = self._scope.registry.clock.time()
        body = render.one(
            self._scope.resource,
            self._shown(item),
            self._form,
            now,
            self._include,
            with_columns=self._with_columns,
        )
        self._with_columns = False
        return event(type_, body, self._form)


def event(type_: str, body: bytes, form: Form) -> bytes:
    """Encode one event about an object that is given in JSON."""
    if form.media == negotiate.PROTOBUF:
        return protobuf_encoder.frame(type_, orjson.loads(body))
    if form.media == negotiate.CBOR:
        return cbor.frame(type_, orjson.loads(body))
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), body.rstrip())


def watch(scope: Scope, make: type[Sender] = Sender) -> Answer:
    """Answer changes until the client leaves or the time is up. make: what sends them."""
    query = scope.request.query
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    list_options.check(query)
    render.include_object(query.get("includeObject"), form)
    if form.media == negotiate.YAML:
        raise errors.not_acceptable((negotiate.JSON,))
    selection = scope.selection()
    if scope.info.name and not selection.name:
        selection = Selection(selection.namespace, scope.info.name, selection.labels, selection.fields)
    since = revision_of(query.get("resourceVersion"))
    wants_initial = list_options.wants_initial(query)
    timeout_s = _timeout(query.get("timeoutSeconds"))
    cache = scope.registry.cache(scope.resource)
    if since and not wants_initial:
        try:
            cache.since(since)
        except TooOld as err:
            failed = _failed(errors.too_old(since, err.oldest), form)
            return websocket.carry(scope.request, failed, is_lines=form.media == negotiate.JSON)

    async def run(stream: Stream) -> None:
        sender = make(scope, cache, selection, form, stream)
        detach = cache.attach(sender)
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                sender.limit(deadline)
                await _begin(scope, sender, cache, since, wants_initial)
                await sender.serve()
        except TimeoutError:  # a bookmark lets the client go on from here (upstream: 2 s before the end)
            sender.tick(math.inf, scope.registry.caches.revision)
        except ConnectionResetError:
            pass
        except TooOld as err:
            stream.write(error_event(errors.too_old(since, err.oldest), form))
        finally:
            detach()
            sender.finish()

    headers = (("Cache-Control", "no-cache, private"),)
    found = StreamResponse(run, content_type=_content_type(form), headers=headers)
    return websocket.carry(scope.request, found, is_lines=form.media == negotiate.JSON)


async def _begin(scope: Scope, sender: Sender, cache: Cache, since: int, wants_initial: bool | None) -> None:
    """Send the initial state or the past; nothing awaits between that and what follows, so no gap."""
    revision = scope.registry.caches.revision
    if wants_initial or (wants_initial is None and since == 0):
        await sender.send_initial(await sender.initial())
        if wants_initial and is_asked(scope.request.query, "allowWatchBookmarks"):
            sender.bookmark(revision, ends_initial=True)
        sender.go_live()
        return
    past = cache.since(since) if since else []
    sender.go_live()
    for change in past:
        sender.offer(change)


def _timeout(text: str) -> float:
    """Give how long a watch lasts; what is no number was refused before, a negative one ends it at once."""
    if text and int(text):
        return float(text)
    return MIN_TIMEOUT_S * (1 + random.random())


def error_event(err: errors.ApiError, form: Form) -> bytes:
    """Encode the event that ends a watch with an error."""
    return event("ERROR", orjson.dumps(err.to_status()), form)


def _content_type(form: Form) -> str:
    if form.media == negotiate.CBOR:
        return negotiate.CBOR_SEQUENCE
    return f"{form.media};stream=watch" if form.media == negotiate.PROTOBUF else form.media


def _failed(err: errors.ApiError, form: Form) -> StreamResponse:
    """A watch that cannot begin answers 200 with one ERROR event, as upstream."""

    async def run(stream: Stream) -> None:
        stream.write(error_event(err, form))

    return StreamResponse(run, content_type=_content_type(form))
