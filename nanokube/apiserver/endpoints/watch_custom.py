"""watch of custom resources: in the version asked for, until their definition changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from nanokube.api import errors
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.endpoints import watch as watching
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.extensions import selectable
from nanokube.apiserver.extensions.convert import NotReady
from nanokube.kit.http.message import Answer


def watch(scope: Scope) -> Answer:
    """Answer changes until the client leaves, the time is up, or the definition changes."""
    return watching.watch(scope, CustomSender)


class CustomSender(watching.Sender):
    """Changes that a webhook must convert wait for it, and those after them."""

    def __init__(self, scope: Scope, *rest: Any) -> None:
        super().__init__(scope, *rest)
        self._converter = scope.registry.converter
        self._read = selectable.reader(scope.resource)
        self._definition = scope.registry.kinds.definition(scope.resource.storage_name)
        self._waiting: deque[Change] = deque()
        self._arrived = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None

    def offer(self, change: Change) -> None:
        """Send a change, or have it converted first."""
        if self._held is not None or (not self._waiting and self._is_ready(change)):
            super().offer(change)
        else:
            self._waiting.append(change)
            self._arrived.set()
            if len(self._waiting) > watching.BACKLOG:
                self._stream.abort()

    def limit(self, deadline: asyncio.Timeout) -> None:
        """Let the definition end this watch."""
        self._deadline = deadline
        if self._definition is None or not self._is_current:
            deadline.reschedule(0.0)
        else:
            self._definition.watches.add(deadline)

    def tick(self, now: float, revision: int) -> None:
        """Send a bookmark when it is time, unless changes wait to be converted: they would be lost."""
        if not self._waiting and self._is_current:
            super().tick(now, revision)

    async def serve(self) -> None:
        """Convert what must be, until the client leaves."""
        if self._definition is None or self._definition.webhook is None:
            await super().serve()
            return
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(), name="convert watch")
            await super().serve()
            pump.cancel()

    async def initial(self) -> list[Item]:
        """Select the present state, in the version that is watched."""
        resource, selection = self._scope.resource, self._selection
        found = self._cache.select(selectable.without_fields(selection))
        shown = await self._converter.show_all(resource, found)
        return selectable.filtered(resource, selection, shown)

    def _shown(self, item: Item) -> Item:
        return self._converter.show(self._scope.resource, item)

    def _matches(self, item: Item) -> bool:
        return self._selection.matches(self._shown(item), self._read)

    def _is_ready(self, change: Change) -> bool:
        try:
            for item in (change.item, change.previous):
                if item is not None:
                    self._shown(item)
        except NotReady:
            return False
        except errors.ApiError:  # the definition went
            self._end()
            return False
        return True

    async def _pump(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                try:
                    await self._convert(self._waiting[0])
                    super().offer(self._waiting.popleft())
                except NotReady:  # converted for a definition that changed meanwhile, which ends this watch
                    self._end()
                    return
                except errors.ApiError as err:
                    if self._is_current:
                        with contextlib.suppress(ConnectionResetError):
                            self._stream.write(watching.error_event(err, self._form))
                    self._end()
                    return

    async def _convert(self, change: Change) -> None:
        items = [item for item in (change.item, change.previous) if item is not None]
        await self._converter.show_all(self._scope.resource, items)

    @property
    def _is_current(self) -> bool:
        """Whether the definition is the one that this watch began with."""
        definition = self._scope.registry.kinds.definition(self._scope.resource.storage_name)
        return definition is not None and definition is self._definition

    def _end(self) -> None:
        if self._deadline is not None:
            with contextlib.suppress(RuntimeError):  # it ends already
                self._deadline.reschedule(0.0)
