"""Leader election: one works, another takes over."""

import asyncio
from typing import Any

import pytest

from nanokube.api import resources
from nanokube.client import fake, leader
from nanokube.kit import clock, virtual_time

LEASES = resources.get("leases.coordination.k8s.io")


def elector(client: fake.FakeClient, identity: str) -> leader.Elector:
    return leader.Elector(client, leader.Election("test", identity), time=clock.LoopClock())


async def forever() -> None:
    await asyncio.Event().wait()


def test_second_waits_until_the_first_releases() -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        led: list[str] = []

        async def work(name: str) -> None:
            led.append(name)
            await asyncio.sleep(3600)

        async with asyncio.TaskGroup() as group:
            first = group.create_task(elector(client, "a").run(lambda: work("a")))
            await asyncio.sleep(1)
            second = group.create_task(elector(client, "b").run(lambda: work("b")))
            await asyncio.sleep(60)
            assert led == ["a"]
            first.cancel()
            await asyncio.sleep(3)
            assert led == ["a", "b"]
            lease = client.read(LEASES, "kube-system/test")
            assert lease is not None
            assert lease["spec"]["holderIdentity"] == "b"
            second.cancel()

    virtual_time.run(scenario())


def test_record_that_stands_still_is_taken_over_and_same_identity_at_once() -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        await elector(client, "dead")._take()
        assert await elector(client, "dead")._take()
        heir = elector(client, "heir")
        assert not await heir._take()
        await asyncio.sleep(14)
        assert not await heir._take()
        await asyncio.sleep(1)
        assert await heir._take()

    virtual_time.run(scenario())


def test_leader_that_cannot_renew_stops_working() -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        for _ in range(20):
            client.fail_next("update", LEASES, ConnectionError())
        with pytest.raises(ExceptionGroup) as caught:
            await elector(client, "a").run(forever)
        assert caught.group_contains(leader.LeadershipLost)
        assert 10 <= asyncio.get_running_loop().time() <= 14

    virtual_time.run(scenario())


def test_loss_is_told_where_the_lease_cannot_be_given_back() -> None:
    # Python 3.11.2 took the failed group's request to cancel for one from outside: the task ended unheard.
    class Silent(fake.FakeClient):
        pending: int | None = None

        async def get(self, *arguments: Any, **options: Any) -> dict[str, Any]:
            task = asyncio.current_task()
            assert task is not None
            if asyncio.get_running_loop().time() >= 10:
                self.pending = task.cancelling()
                await forever()
            return await super().get(*arguments, **options)

    async def scenario() -> None:
        client = Silent()
        for _ in range(20):
            client.fail_next("update", LEASES, ConnectionError())
        with pytest.raises(ExceptionGroup) as caught:
            await elector(client, "a").run(forever)
        assert caught.group_contains(leader.LeadershipLost)
        assert client.pending == 0

    virtual_time.run(scenario())
