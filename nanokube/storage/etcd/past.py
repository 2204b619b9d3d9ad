"""Reads what was written between two revisions, by a watch that ends where it has caught up."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc.aio

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import Connection, Failed, Member
from nanokube.storage.etcd.follower import HAS_LEADER
from nanokube.storage.etcd.keys import Keys
from nanokube.storage.store import Compacted, Event

TIMEOUT_S: Final = 60.0


async def read(connection: Connection, keys: Keys, first: int, last: int) -> list[Event]:
    """Read the events of revisions first to last (etcd's); last is one that has an event below the prefix.

    Raises Compacted, Unavailable.
    """
    return await connection.insist(lambda member: _read(member, keys, first, last))


async def _read(member: Member, keys: Keys, first: int, last: int) -> list[Event]:
    stream = member.watch.Watch(metadata=HAS_LEADER)
    create = pb.WatchCreateRequest(key=keys.first, range_end=keys.last, start_revision=first, fragment=True)
    found: list[Event] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await stream.write(pb.WatchRequest(create_request=create))
            while True:
                response = await stream.read()
                if response is grpc.aio.EOF:  # type: ignore[attr-defined]
                    raise Failed("watch ended", is_sent=True)
                if response.compact_revision:
                    raise Compacted(keys.shown(first) - 1, keys.shown(response.compact_revision))
                found += [_event(keys, e) for e in response.events if keys.is_own(e.kv.key)]
                if response.events and response.events[-1].kv.mod_revision >= last and not response.fragment:
                    return [event for event in found if event.revision <= keys.shown(last)]
    finally:
        stream.cancel()


def _event(keys: Keys, event: Any) -> Event:
    kv = event.kv
    value = kv.value if event.type == pb.Event.PUT else None
    created, revision = keys.shown(kv.create_revision), keys.shown(kv.mod_revision)
    return Event(keys.decode(kv.key), value, created, revision)
