"""Members that come right after one another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nanokube.storage.etcd import members
from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import Failed
from nanokube.storage.etcd.settings import EtcdSettings
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


class Answering:
    """A connection to one member, that answers or not."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._is_off = settings.endpoints == ("[2001:db8::3]:2379",)

    async def attempt(self, _ask: Callable[[Any], Awaitable[Any]]) -> pb.StatusResponse:
        if self._is_off:
            raise Failed("no answer", is_sent=False)
        return pb.StatusResponse(leader=2)

    async def insist(self, _ask: Callable[[Any], Awaitable[Any]]) -> pb.MemberListResponse:
        host = "https://[2001:db8::{}]:{}"
        of = [(1, "a", False), (2, "b", False), (3, "c", True)]
        found = [
            pb.Member(
                ID=n,
                name=name,
                isLearner=is_learner,
                peerURLs=[host.format(n, 2380)],
                clientURLs=[host.format(n, 2379)],
            )
            for n, name, is_learner in of
        ]
        return pb.MemberListResponse(members=[*found, pb.Member(ID=4, peerURLs=[host.format(4, 2380)])])

    async def close(self) -> None:
        return None


def test_each_member_is_asked_whether_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "Connection", Answering)
    found = asyncio.run(members.known(EtcdSettings(("[2001:db8::1]:2379",))))
    assert found == [
        members.Known("a", "2001:db8::1", is_learner=False, is_answering=True),
        members.Known("b", "2001:db8::2", is_learner=False, is_answering=True, is_leader=True),
        members.Known("c", "2001:db8::3", is_learner=True, is_answering=False),
        members.Known("", "2001:db8::4", is_learner=False, is_answering=False),
    ]
    assert asyncio.run(members.hosts(EtcdSettings(("x:1",)))) == [each.address for each in found]
