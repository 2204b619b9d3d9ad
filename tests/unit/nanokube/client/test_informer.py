"""The informer follows a server through changes, breaks and compaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from nanokube.api import errors, objects, resources
from nanokube.client import fake, informer, store
from nanokube.kit import virtual_time

PODS = resources.get("pods")


def pod(name: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@asynccontextmanager
async def running(follower: informer.Informer) -> AsyncIterator[list[str]]:
    seen: list[str] = []
    follower.subscribe(lambda change, old, new: seen.append(f"{change} {objects.key(new)}"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follower.run())
        await follower.synced.wait()
        yield seen
        task.cancel()


def test_cache_follows_adds_changes_and_deletes() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(pod("a"))
        async with running(informer.Informer(client, PODS)) as seen:
            await client.create(PODS, pod("b"))
            await client.patch(PODS, "b", {"metadata": {"labels": {"x": "y"}}}, "ns")
            await client.delete(PODS, "a", "ns")
            await virtual_time.settle()
            assert seen == ["ADDED ns/a", "ADDED ns/b", "MODIFIED ns/b", "DELETED ns/a"]

    virtual_time.run(scenario())


def test_broken_watch_resumes_without_listing_again() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(pod("a"))
        follower = informer.Informer(client, PODS)
        async with running(follower) as seen:
            client.fail_next("list", PODS, AssertionError("listed again"))
            await virtual_time.settle()
            client.disconnect()
            await client.create(PODS, pod("b"))
            await asyncio.sleep(0.1)
            assert seen == ["ADDED ns/a", "ADDED ns/b"]

    virtual_time.run(scenario())


def test_compacted_revision_lists_again_and_tells_only_the_differences() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(pod("a"), pod("b"), pod("c"))
        follower = informer.Informer(client, PODS)
        async with running(follower) as seen:
            await virtual_time.settle()
            seen.clear()
            client.disconnect()
            client.remove(PODS, "ns/a")
            client.remove(PODS, "ns/b")
            client.put(pod("b", nodeName="n"))
            client.compact()
            await asyncio.sleep(2)
            assert seen == ["DELETED ns/a", "DELETED ns/b", "ADDED ns/b"]

    virtual_time.run(scenario())


def test_server_away_is_found_again_within_a_second() -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        for _ in range(40):
            client.fail_next("list", PODS, ConnectionRefusedError())
        task_done = asyncio.Event()
        follower = informer.Informer(client, PODS)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(follower.run())
            await asyncio.sleep(10)
            client._failures.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await follower.synced.wait()
                    task_done.set()
            assert task_done.is_set()
            task.cancel()

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("error", "fewest", "most"),
    [
        (errors.internal("conversion webhook for example.com/v1 failed"), 12, 30),
        (errors.forbidden(PODS, "", "nobody may"), 12, 30),
        (errors.service_unavailable("the store is away"), 300, 700),
    ],
)
def test_refusals_are_tried_again_ever_less_often_and_outages_are_not(
    error: errors.ApiError, fewest: int, most: int
) -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        for _ in range(1000):
            client.fail_next("list", PODS, error)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(informer.Informer(client, PODS).run())
            await asyncio.sleep(300)
            assert fewest < 1000 - len(client._failures) < most
            task.cancel()

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("error", "level"), [(errors.no_such_path(), "INFO"), (errors.forbidden(PODS, "", "nobody"), "WARNING")]
)
def test_a_kind_that_goes_with_its_definition_is_no_cause_to_warn(
    error: errors.ApiError, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        client = fake.FakeClient()
        client.fail_next("list", PODS, error)
        async with running(informer.Informer(client, PODS)):
            pass

    with caplog.at_level("INFO", logger=informer.__name__):
        virtual_time.run(scenario())
    assert [(each.levelname, each.message[:13]) for each in caplog.records] == [(level, "watch refused")]


def test_selectors_show_objects_entering_and_leaving() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(pod("a", nodeName="n1"), pod("b"))
        follower = informer.Informer(client, PODS, field_selector="spec.nodeName=n1")
        async with running(follower) as seen:
            await client.create(PODS, {"target": {"name": "n1"}}, "ns", subresource="binding", name="b")
            await virtual_time.settle()
            assert seen == ["ADDED ns/a", "ADDED ns/b"]

    virtual_time.run(scenario())


def test_indexes_follow_the_objects() -> None:
    cache = store.Store()
    cache.add_index("node", store.by_node)
    cache.put(pod("a"))
    cache.put(pod("b", nodeName="n1"))
    cache.put(pod("a", nodeName="n1"))
    assert [objects.name(found) for found in cache.by_index("node", "n1")] == ["b", "a"]
    assert cache.by_index("node", "") == []
    cache.remove("ns/b")
    assert [objects.name(found) for found in cache.by_index("node", "n1")] == ["a"]
    cache.add_index("late", store.by_namespace)
    assert len(cache.by_index("late", "ns")) == 1


def test_factory_runs_informers_asked_for_later() -> None:
    async def scenario() -> None:
        factory = informer.Factory(fake.FakeClient(pod("a")))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(factory.run())
            await virtual_time.settle()
            assert factory.of(PODS) is factory.of(PODS)
            await factory.of(PODS).synced.wait()
            factory.drop(PODS)
            assert not factory.has(PODS)
            task.cancel()

    virtual_time.run(scenario())
