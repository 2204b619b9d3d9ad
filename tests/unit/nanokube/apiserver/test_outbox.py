"""Watches take turns: slices, events that gather meanwhile, writers that wait."""

from __future__ import annotations

import asyncio

from nanokube.apiserver.cache import outbox
from nanokube.apiserver.cache.outbox import Outbox
from nanokube.kit.http.stream import frame
from tests.unit.nanokube.apiserver.conftest import Api


class Watch:
    """A sender that keeps the pieces it sent."""

    def __init__(self, box: Outbox) -> None:
        self.box = box
        self.ready: list[bytes] = []
        self.pieces: list[bytes] = []

    def offer(self, event: bytes) -> None:
        self.ready.append(frame(event))
        self.box.add(self, is_first=len(self.ready) == 1)

    def send(self) -> int:
        frames, self.ready = self.ready, []
        if frames:
            self.pieces.append(self.box.one_piece(frames))
        return len(frames)


async def test_the_rest_is_sent_slice_by_slice_with_what_came_meanwhile() -> None:
    box = Outbox()
    watches = [Watch(box) for _ in range(2 * outbox.SLICE)]
    for watch in watches:
        watch.offer(b"a")
    box.flush()
    assert [watch.pieces for watch in watches] == [[frame(b"a")]] * outbox.SLICE + [[]] * outbox.SLICE
    for watch in watches:
        watch.offer(b"b")
    await asyncio.sleep(0.01)
    assert watches[0].pieces == [frame(b"a"), frame(b"b")]
    assert {tuple(watch.pieces) for watch in watches[outbox.SLICE :]} == {(frame(b"ab"),)}
    assert watches[-1].pieces[0] is watches[-2].pieces[0]


async def test_writers_wait_while_too_much_is_left_to_send() -> None:
    box = Outbox()
    watches = [Watch(box) for _ in range(outbox.MOST + outbox.SLICE)]
    for watch in watches:
        watch.offer(b"a")
    assert box.is_full
    async with asyncio.timeout(5):
        await box.room()
    assert not box.is_full
    assert sum(bool(watch.ready) for watch in watches) <= outbox.MOST


async def test_a_sender_may_send_out_of_turn() -> None:
    box = Outbox()
    one, other = Watch(box), Watch(box)
    one.offer(b"a")
    box.forget(one.send())
    one.offer(b"b")
    other.offer(b"b")
    box.flush()
    assert [one.pieces, other.pieces] == [[frame(b"a"), frame(b"b")], [frame(b"b")]]


async def test_events_of_many_watches_come_whole_and_in_order(api: Api) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    async with asyncio.TaskGroup() as group:
        streams = [await api.watch(f"{maps}?watch=1", group) for _ in range(3)]
        streams += [await api.watch(f"{maps}?watch=1", group) for _ in range(outbox.SLICE)]
        streams.append(await api.watch(f"{maps}?watch=1&allowWatchBookmarks=true", group))
        names = [f"n{number}" for number in range(20)]
        for name in names:
            assert (await api("POST", maps, {"metadata": {"name": name}})).code == 201
        api.clock.advance(100)
        api.server.caches.of("configmaps").tick(api.clock.monotonic(), api.server.caches.revision)
        await asyncio.sleep(0.01)
        for stream in streams:
            seen = [event["object"]["metadata"].get("name") for event in stream.events]
            assert [name for name in seen if name] == names
        assert [event["type"] for event in streams[-1].events][-1] == "BOOKMARK"
        for stream in streams:
            stream.abort()
