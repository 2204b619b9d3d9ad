"""What clients of a store saw, and whether one order of all writes explains it. Pure, but for `run`.

The store says itself in which order it did the writes: by their revisions. Nothing is searched for; the
claimed order is compared with real time (what ended before something else began is before it), with every
comparison that held, and with every read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from nanokube.storage.store import Conflict, KeyExists, NotFound, Store, Uncertain

KEYS = ("/h/a", "/h/b", "/h/c")


@dataclass(slots=True)
class Operation:
    """revision: of the write, or what a read showed (0: absent); None: not known."""

    kind: Literal["put", "delete", "read", "refused", "unknown"]
    key: str
    began: float
    ended: float = 0.0
    value: bytes | None = None
    expect: int = 0
    revision: int | None = None


@dataclass(slots=True)
class History:
    """operations, and what a watch was told: (revision, key, value)."""

    operations: list[Operation] = field(default_factory=list)
    events: list[tuple[int, str, bytes | None]] = field(default_factory=list)


async def run(stores: Sequence[Store], *, seed: int, clients: int = 6, steps: int = 40) -> History:
    """Let clients write and read at random, each through one of the stores."""
    history = History()
    first = stores[0]
    await first.watch(
        "/h/", first.revision, lambda b: history.events.extend((e.revision, e.key, e.value) for e in b)
    )
    async with asyncio.TaskGroup() as group:
        for i in range(clients):
            draw = random.Random(f"{seed}.{i}")
            group.create_task(_client(stores[i % len(stores)], draw, f"{i}", steps, history))
    await first.synchronize()
    return history


async def _client(store: Store, draw: random.Random, name: str, steps: int, history: History) -> None:
    known = dict.fromkeys(KEYS, 0)
    for step in range(steps):
        key = draw.choice(KEYS)
        did = Operation("read", key, time.monotonic(), expect=known[key])
        choice = draw.random()
        if choice < 0.4:
            await store.synchronize()
            found = (await store.range(key)).entries
            did.revision = known[key] = found[0].mod_revision if found else 0
            did.value = found[0].value if found else None
        elif choice < 0.85 or not known[key]:
            await _put(store, did, f"{name}.{step}".encode(), known)
        else:
            await _delete(store, did, known)
        did.ended = time.monotonic()
        history.operations.append(did)
        await asyncio.sleep(draw.random() * 0.002)


async def _put(store: Store, did: Operation, value: bytes, known: dict[str, int]) -> None:
    did.kind, did.value = "put", value
    try:
        did.revision = known[did.key] = await store.put(did.key, value, expect=did.expect)
    except (KeyExists, Conflict):
        did.kind = "refused"
    except Uncertain:
        did.kind = "unknown"


async def _delete(store: Store, did: Operation, known: dict[str, int]) -> None:
    did.kind = "delete"
    try:
        did.revision = await store.delete(did.key, expect=did.expect)
        known[did.key] = 0
    except (NotFound, Conflict):
        did.kind = "refused"
    except Uncertain:
        did.kind = "unknown"


def problems(history: History) -> list[str]:
    """Say what no single order explains."""
    return [
        *_of_events(history),
        *_of_acknowledged(history),
        *_of_comparisons(history),
        *_of_time(history),
        *_of_reads(history),
    ]


def _of_events(history: History) -> list[str]:
    revisions = [revision for revision, _, _ in history.events]
    return [] if revisions == sorted(set(revisions)) else ["the watch told revisions out of order or twice"]


def _of_acknowledged(history: History) -> list[str]:
    told = {revision: (key, value) for revision, key, value in history.events}
    found = []
    for did in history.operations:
        if did.kind in ("put", "delete"):
            wanted = (did.key, did.value if did.kind == "put" else None)
            if told.get(did.revision or 0) != wanted:
                found.append(f"lost: {did}")
    acknowledged = {d.revision for d in history.operations if d.kind in ("put", "delete")}
    unknown = [(d.key, d.value) for d in history.operations if d.kind == "unknown"]
    for revision, key, value in history.events:
        if revision not in acknowledged and (key, value) not in unknown:
            found.append(f"nobody wrote {key} at {revision}")
    values = [value for _, _, value in history.events if value is not None]
    return found + ([] if len(values) == len(set(values)) else ["a write was done twice"])


def _of_comparisons(history: History) -> list[str]:
    """A write that compared with a revision is the next of its key after it."""
    before: dict[int, int] = {}
    last: dict[str, int] = {}
    for revision, key, value in history.events:
        before[revision] = last.get(key, 0)
        last[key] = revision if value is not None else 0
    return [
        f"compared with another: {did}, with {before[did.revision]}"
        for did in history.operations
        if did.kind in ("put", "delete") and did.revision in before and before[did.revision] != did.expect
    ]


def _of_time(history: History) -> list[str]:
    writes = sorted(
        (d for d in history.operations if d.kind in ("put", "delete")), key=lambda d: d.revision or 0
    )
    latest, found = 0.0, []
    for did in writes:  # none may have ended before one of a lower revision began
        if did.ended < latest:
            found.append(f"before its time: {did}")
        latest = max(latest, did.began)
    return found


def _of_reads(history: History) -> list[str]:
    """A read shows the key's state at some moment between its beginning and its end."""
    found = []
    acknowledged = {d.revision: d for d in history.operations if d.kind in ("put", "delete")}
    for did in history.operations:
        if did.kind != "read":
            continue
        of_key = [(revision, value) for revision, key, value in history.events if key == did.key]
        at = next((i for i, (revision, _) in enumerate(of_key) if revision == did.revision), None)
        if did.revision == 0:
            states = [-1] + [i for i, (_, value) in enumerate(of_key) if value is None]
        elif at is None or of_key[at][1] != did.value:
            found.append(f"never was: {did}")
            continue
        else:
            states = [at]
        if not any(_is_current(of_key, i, did, acknowledged) for i in states):
            found.append(f"stale: {did}")
    return found


def _is_current(
    of_key: list[tuple[int, bytes | None]], i: int, read: Operation, acknowledged: dict[int | None, Operation]
) -> bool:
    """Write i began before the read ended, and the next of the key had not ended before the read began."""
    if i >= 0:
        write = acknowledged.get(of_key[i][0])
        if write is not None and write.began > read.ended:
            return False
    if i + 1 < len(of_key):
        following = acknowledged.get(of_key[i + 1][0])
        return following is None or following.ended >= read.began
    return True
