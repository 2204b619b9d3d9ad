"""A store whose values are encrypted at rest; who uses it sees them plain.

    put ──seal──> inner store            range, watch ──unseal──> caller, caches
    the file changes: read all by the new keys; if that works, they replace the old ones, and what is stored
    another way than it would be now is written again

Reads are served from the caches, which hold plain text: this costs a write some microseconds.
What another server stored by a plugin's seed that is unknown here holds the watch back until the plugin was
asked, so that nothing is delivered out of order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Never

from nanokube.kit import tls
from nanokube.kit.clock import Clock
from nanokube.storage.encryption import configuration
from nanokube.storage.encryption.configuration import Configuration, ConfigurationError
from nanokube.storage.encryption.errors import PluginError, SeedUnknown, Unreadable
from nanokube.storage.encryption.plugin import Plugin
from nanokube.storage.encryption.prefix import ENCRYPTED, ROOT
from nanokube.storage.encryption.transformer import Transformer
from nanokube.storage.store import (
    Compacted,
    Conflict,
    Deliver,
    Entry,
    Event,
    NotFound,
    Range,
    Store,
    StoreError,
    Unavailable,
    Uncertain,
    Watch,
    prefix_end,
)

log = logging.getLogger(__name__)

HELD_S: Final = 10.0  # a write waits so long for a plugin on which a watch waits
AGAIN_S: Final = 1.0
REWRITE_AGAIN_S: Final = 10.0
BATCH: Final = 64  # values that are written again at the same time, so that they share a commit
# They end by themselves within an hour; writing them again would lose when.
EXPIRING: Final = "/registry/events/"


class EncryptedStore:
    """Open with `opened`. path: the EncryptionConfiguration; where there is none, nothing is encrypted."""

    def __init__(self, inner: Store, path: Path, transformer: Transformer, clock: Clock) -> None:
        self.inner = inner
        self.transformer = transformer
        self.reloads = {"success": 0, "failure": 0}
        self._path = path
        self._clock = clock
        self._lost: Unreadable | None = None
        self._taps: list[_Tap] = []
        self._flowing = asyncio.Event()  # no watch is held back
        self._flowing.set()
        self._held_back = asyncio.Event()
        self._turned = asyncio.Event()  # something is stored in an old way
        self._replaced = asyncio.Event()  # the transformer was

    @property
    def revision(self) -> int:
        """What watches were told of."""
        return min((tap.told for tap in self._taps if tap.held), default=self.inner.revision)

    @property
    def compacted(self) -> int:
        """History before this revision is forgotten."""
        return self.inner.compacted

    @property
    def is_healthy(self) -> bool:
        """Writes are accepted, and what others wrote could be read."""
        return self._lost is None and self.inner.is_healthy

    @property
    def is_shared(self) -> bool:
        """Others write to it too."""
        return self.inner.is_shared

    def are_plugins_healthy(self) -> bool:
        """Every key management service's plugin answers."""
        return not self.transformer.failures()

    async def synchronize(self, revision: int = 0) -> None:
        """Wait until watches were told; see Store."""
        await self.inner.synchronize(revision)
        await self._flow(Unavailable)

    async def range(self, start: str, end: str = "", *, limit: int = 0, revision: int = 0) -> Range:
        """Read keys; see Store. Raises Unreadable, PluginError."""
        found = await self.inner.range(start, end, limit=limit, revision=revision)
        if start == ROOT:
            old = await asyncio.to_thread(_old, self.transformer, found.entries)
            if old:
                self._turned.set()
        if not any(entry.value.startswith(ENCRYPTED) for entry in found.entries):
            return found
        try:
            entries = await asyncio.to_thread(_opened, self.transformer, found.entries)
        except Unreadable as err:
            if not revision or revision >= self.inner.revision:
                raise Unreadable(f"{err}; the keys are in {self._path}") from err
            raise Compacted(revision, self.inner.revision) from err  # its key was dropped since
        return replace(found, entries=entries)

    async def put(self, key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
        """Write a key; see Store."""
        transformer = self.transformer
        sealed = transformer.seal(key, value)
        try:
            revision = await self.inner.put(key, sealed, expect=expect, expires=expires)
        finally:
            if self.transformer is not transformer:  # the key turned meanwhile; this may have landed after
                self._turned.set()
        if not self._flowing.is_set():
            await self._flow(Uncertain)
        return revision

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Delete a key; see Store."""
        revision = await self.inner.delete(key, expect=expect)
        if not self._flowing.is_set():
            await self._flow(Uncertain)
        return revision

    async def watch(self, prefix: str, after: int, deliver: Deliver) -> Watch:
        """Watch; see Store."""
        tap = _Tap(self, after, deliver)
        self._taps.append(tap)
        try:
            tap.inner = await self.inner.watch(prefix, after, tap)
        except BaseException:
            self._taps.remove(tap)
            raise
        return tap

    async def compact(self, revision: int) -> None:
        """Forget; see Store."""
        await self.inner.compact(revision)

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry."""
        return self.inner.expired(now)

    async def size(self) -> int:
        """Tell what the files take."""
        return await self.inner.size()

    async def close(self) -> None:
        """Close the inner store, and the connections to plugins."""
        await self.inner.close()
        _close(self.transformer.plugins.values())

    async def run(self) -> Never:
        """Follow the file, poll plugins, write again what is stored in an old way; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="encryption configuration")
            group.create_task(self._release(), name="encrypted watches")
            group.create_task(self._rewrite_when_turned(), name="encryption of old values")
            group.create_task(self._poll(), name="kms plugins")
        raise AssertionError("unreachable")

    async def reload(self) -> bool:
        """Take the file's content; refuse it, and go on as before, if not all that is stored can be read."""
        former, made = self.transformer, self.transformer
        try:
            config = read(self._path)
            if config.digest == former.config.digest:
                return True
            made = Transformer(config, self._clock, former.plugins)
            await asyncio.to_thread(made.poll)
            found = await self.inner.range(ROOT, prefix_end(ROOT))
            await asyncio.to_thread(_opened, made, found.entries)
        except (ConfigurationError, OSError, StoreError) as err:
            log.error("encryption configuration not taken: %s", err)
            self.reloads["failure"] += 1
            _close(set(made.plugins.values()) - set(former.plugins.values()))
            return False
        self.reloads["success"] += 1
        self.transformer = made
        self._replaced.set()
        _close(set(former.plugins.values()) - set(made.plugins.values()))
        log.info("encryption configuration taken: hash=%s", config.digest)
        self._turned.set()
        return True

    async def rewrite(self) -> int:
        """Write again what is stored in another way than it would be now; return how much.

        Raises Unreadable, PluginError, Unavailable.
        """
        found = await self.inner.range(ROOT, prefix_end(ROOT))
        old = await asyncio.to_thread(_old, self.transformer, found.entries)
        count = 0
        for start in range(0, len(old), BATCH):
            plain = await asyncio.to_thread(_opened, self.transformer, old[start : start + BATCH])
            async with asyncio.TaskGroup() as group:
                writing = [group.create_task(self._write_again(entry)) for entry in plain]
            failures = [task.result() for task in writing]
            for failure in failures:
                if failure is not None and not isinstance(failure, Conflict | NotFound):
                    raise failure
            count += failures.count(None)
        return count

    def lose(self, err: Unreadable) -> None:
        """Note that a watch met what cannot be read: this server gives up, and says why when it starts."""
        log.error("%s", err)
        self._lost = self._lost or err

    def hold(self) -> None:
        """Note that a watch is held back."""
        self._flowing.clear()
        self._held_back.set()

    def forget(self, tap: _Tap) -> None:
        """Drop a watch that has ended."""
        if tap in self._taps:
            self._taps.remove(tap)

    async def _write_again(self, entry: Entry) -> StoreError | None:
        """Write a value in the way of now. Who changed it meanwhile did so, too: that is a Conflict."""
        try:
            await self.put(entry.key, entry.value, expect=entry.mod_revision)
        except StoreError as err:
            return err
        return None

    async def _flow(self, failure: type[StoreError]) -> None:
        try:
            async with asyncio.timeout(HELD_S):
                await self._flowing.wait()
        except TimeoutError as err:
            raise failure("cannot tell watches: a kms plugin does not answer") from err

    async def _release(self) -> Never:
        while True:
            await self._held_back.wait()
            self._held_back.clear()
            while held := [tap for tap in self._taps if tap.held]:
                try:
                    for tap in held:
                        await tap.release()
                except PluginError as err:
                    log.warning("%s", err)
                    await asyncio.sleep(AGAIN_S)
            self._flowing.set()

    async def _rewrite_when_turned(self) -> Never:
        while True:
            await self._turned.wait()
            self._turned.clear()
            try:
                if count := await self.rewrite():
                    log.info("values written again: count=%d", count)
            except StoreError as err:
                log.warning("values not written again: %s", err)
                await asyncio.sleep(REWRITE_AGAIN_S)
                self._turned.set()

    async def _follow(self) -> Never:
        await tls.on_change({self._path}, self.reload)

    async def _poll(self) -> Never:
        """Run the plugins of the configuration in use, whichever these are."""
        while True:
            self._replaced.clear()
            plugins = self.transformer.plugins.values()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(plugin.run(self._turned.set)) for plugin in plugins]
                await self._replaced.wait()
                for task in tasks:
                    task.cancel()


class _Tap:
    """A watch of the inner store. held: what waits for a plugin. told: the revision that was delivered."""

    def __init__(self, owner: EncryptedStore, told: int, deliver: Deliver) -> None:
        self.inner: Watch | None = None
        self.held: list[Event] = []
        self.told = told
        self._owner = owner
        self._deliver = deliver
        self._is_over = False

    def __call__(self, events: Sequence[Event]) -> None:
        if self._is_over:
            return
        if self.held:
            self.held += events
            return
        if not any(event.value is not None and event.value.startswith(ENCRYPTED) for event in events):
            self._deliver(events)
            return
        try:
            plain = _plain(self._owner.transformer, events, may_ask=False)
        except SeedUnknown:
            self.told = events[0].revision - 1
            self.held += events
            self._owner.hold()
        except Unreadable as err:
            self._end(err)
        else:
            self._deliver(plain)

    async def release(self) -> None:
        """Deliver what was held back, and what came meanwhile. Raises PluginError."""
        while self.held and not self._is_over:
            events = tuple(self.held)
            try:
                plain = await asyncio.to_thread(_plain, self._owner.transformer, events, may_ask=True)
            except Unreadable as err:
                self._end(err)
                return
            del self.held[: len(events)]
            self._deliver(plain)
            self.told = events[-1].revision

    def cancel(self) -> None:
        """Deliver nothing more."""
        self._is_over = True
        self.held.clear()
        self._owner.forget(self)
        if self.inner is not None:
            self.inner.cancel()

    def _end(self, err: Unreadable) -> None:
        self._is_over = True
        self.held.clear()
        self._owner.lose(err)


def read(path: Path) -> Configuration:
    """Read an EncryptionConfiguration; where there is no file, nothing is to be encrypted.

    Raises ConfigurationError, OSError.
    """
    try:
        return configuration.parse(path.read_bytes())
    except FileNotFoundError:
        return configuration.NOTHING
    except ConfigurationError as err:
        raise ConfigurationError(f"cannot use {path}: {err}") from err


@contextlib.asynccontextmanager
async def opened(inner: Store, path: Path, clock: Clock) -> AsyncIterator[EncryptedStore]:
    """Encrypt an open store's values as the file says, until the block ends.

    Raises ConfigurationError, OSError, PluginError.
    """
    store = EncryptedStore(inner, path, Transformer(read(path), clock), clock)
    failure: BaseException | None = None  # the block's own: no matter of the group
    try:
        await asyncio.to_thread(store.transformer.poll)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(store.run(), name="encryption")
            try:
                yield store
            except BaseException as err:
                failure = err
            running.cancel()
    finally:
        _close(store.transformer.plugins.values())
    if failure is not None:
        raise failure


def _close(plugins: Iterable[Plugin]) -> None:
    for plugin in plugins:
        plugin.close()


def _opened(transformer: Transformer, entries: Sequence[Entry]) -> list[Entry]:
    return [
        replace(entry, value=transformer.unseal(entry.key, entry.value, may_ask=True))
        if entry.value.startswith(ENCRYPTED)
        else entry
        for entry in entries
    ]


def _old(transformer: Transformer, entries: Sequence[Entry]) -> list[Entry]:
    return [
        entry
        for entry in entries
        if not entry.key.startswith(EXPIRING) and not transformer.is_current(entry.key, entry.value)
    ]


def _plain(transformer: Transformer, events: Sequence[Event], *, may_ask: bool) -> list[Event]:
    return [
        replace(event, value=transformer.unseal(event.key, event.value, may_ask=may_ask))
        if event.value is not None and event.value.startswith(ENCRYPTED)
        else event
        for event in events
    ]
