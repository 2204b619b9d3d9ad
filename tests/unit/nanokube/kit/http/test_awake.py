"""A server stays awake for clients that ask for one thing after another, and for nobody else."""

from __future__ import annotations

import asyncio

import pytest

from nanokube.kit.http import awake, connection
from nanokube.kit.http.awake import Awake
from nanokube.kit.http.message import Answer, Request, Response
from tests.unit.nanokube.kit.http.test_heads import FIELDS, Client

GET = b"GET /a HTTP/1.1" + FIELDS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(awake, "time", found)
    monkeypatch.setattr(connection, "time", found)
    return found


async def turns(clock: Clock, most: int = 20) -> int:
    """Let the loop turn, each time 10 us later; count how often it looked, and did not sleep."""
    found = 0
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(most):
        found += bool(ready)
        clock.now += 10e-6
        await asyncio.sleep(0)
    return found


@pytest.mark.parametrize(("gap_s", "looks"), [(100e-6, 6), (200e-6, 0), (10.0, 0)])
async def test_what_follows_soon_is_looked_for(clock: Clock, gap_s: float, looks: int) -> None:
    client = Client()
    client.send(GET)
    clock.now += gap_s
    client.send(GET)
    assert abs(await turns(clock) - looks) <= 1
    assert await turns(clock) == 0


async def test_nothing_is_looked_for_while_something_is_under_way(clock: Clock) -> None:
    state = Awake()
    state.under_way = 1
    state.stay()
    assert await turns(clock) == 0
    state.under_way = 0
    state.stay()
    state.under_way = 1  # begun meanwhile
    assert await turns(clock) <= 1


async def test_a_request_is_under_way_until_its_handler_has_answered() -> None:
    client, gate = Client(), asyncio.Event()

    async def handle(request: Request) -> Answer:
        await gate.wait()
        return Response(200, b"{}")

    client.server.handler = handle
    async with client.server as server:
        client.send(b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.001)
        assert server.awake.under_way == 1
        gate.set()
        await asyncio.sleep(0.001)
        assert server.awake.under_way == 0
        assert client.wire.sent.startswith(b"HTTP/1.1 200 OK")
