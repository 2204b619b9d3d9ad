"""Members that come right after one another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nanokube.storage.etcd import members
from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.store import Unavailable


class Refusing:
    """A connection that refuses as often as told, then adds."""

    def __init__(self, *causes: str) -> None:
        self._causes = list(causes)

    async def attempt(self, _ask: Callable[[Any], Awaitable[Any]]) -> pb.MemberAddResponse:
        if self._causes:
            raise Unavailable(self._causes.pop(0))
        return pb.MemberAddResponse(members=[pb.Member(name="a")])


def added(*causes: str) -> int:
    connection: Any = Refusing(*causes)
    return len(asyncio.run(members._added(connection, pb.MemberAddRequest())))


def test_a_member_waits_until_the_one_before_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PAUSE_S", 0.0)
    assert added("192.0.2.1: etcdserver: unhealthy cluster", "etcdserver: too many learner members") == 1
    with pytest.raises(Unavailable, match="no answer"):
        added("no answer")


def test_a_member_that_has_started_is_of_an_earlier_life_of_its_name() -> None:
    found = [pb.Member(ID=1, name="a"), pb.Member(ID=2, name="b"), pb.Member(ID=3)]
    assert [each.ID for each in members.former_lives(found, "b")] == [2]
    assert members.former_lives(found, "c") == []
