"""list pages, watch streams: order, resumption, selectors, forms, bookmarks."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from nanokube.apiserver.cache import cache as caches
from nanokube.apiserver.endpoints import watch
from nanokube.kit.http.message import StreamResponse
from tests.unit.nanokube.apiserver.conftest import Api, FakeStream

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}


async def make(api: Api, name: str, **labels: str) -> dict[str, Any]:
    body = {"metadata": {"name": name, "labels": labels}, "data": {"k": name}}
    reply = await api("POST", MAPS, body)
    assert reply.code == 201, reply.body
    found: dict[str, Any] = reply.json
    return found


def brief(stream: FakeStream) -> list[tuple[str, str]]:
    return [(e["type"], e["object"]["metadata"].get("name", "")) for e in stream.events]


async def test_pages_show_one_revision_and_count_what_remains(api: Api) -> None:
    for i in range(10):
        await make(api, f"m{i}")
    seen, token, revisions = [], "", set()
    while True:
        page = (await api("GET", f"{MAPS}?limit=4&continue={token}")).json
        seen += [o["metadata"]["name"] for o in page["items"]]
        revisions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            assert "remainingItemCount" not in page["metadata"]
            break
        assert page["metadata"]["remainingItemCount"] == 10 - len(seen)
        await make(api, f"z{len(seen)}")  # not in the pages' revision
    assert seen == [f"m{i}" for i in range(10)]
    assert len(revisions) == 1


async def test_a_page_expires_though_nothing_of_its_kind_changed(api: Api) -> None:
    for i in range(4):
        await make(api, f"m{i}")
    token = (await api("GET", f"{MAPS}?limit=2")).json["metadata"]["continue"]
    await api("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
    assert (await api("GET", f"{MAPS}?limit=2&continue={token}")).code == 200
    await api.store.compact(api.store.revision)
    expired = await api("GET", f"{MAPS}?limit=2&continue={token}")
    assert (expired.code, expired.json["reason"]) == (410, "Expired")
    rest = await api("GET", f"{MAPS}?limit=2&continue={expired.json['metadata']['continue']}")
    assert [each["metadata"]["name"] for each in rest.json["items"]] == ["m2", "m3"]


async def test_an_expired_page_offers_an_inconsistent_rest(api: Api) -> None:
    for name in "abc":
        await make(api, name)
    first = (await api("GET", f"{MAPS}?limit=1")).json
    await make(api, "d")
    await api.store.compact(api.store.revision)
    gone = await api("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")
    assert (gone.code, gone.json["reason"]) == (410, "Expired")
    rest = (await api("GET", f"{MAPS}?continue={gone.json['metadata']['continue']}")).json
    assert [o["metadata"]["name"] for o in rest["items"]] == ["b", "c", "d"]


async def test_an_exact_version_shows_the_past(api: Api) -> None:
    old = (await make(api, "a"))["metadata"]["resourceVersion"]
    await make(api, "b")
    past = (await api("GET", f"{MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")).json
    assert [o["metadata"]["name"] for o in past["items"]] == ["a"]
    assert past["metadata"]["resourceVersion"] == old
    bad = await api("GET", f"{MAPS}?resourceVersionMatch=Exact")
    assert (bad.code, bad.json["reason"]) == (422, "Invalid")


async def test_a_watch_without_version_begins_with_what_is(api: Api) -> None:
    await make(api, "a")
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=1", group)
        await make(api, "b")
        await api("DELETE", f"{MAPS}/a")
        stream.abort()
    assert brief(stream) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    last = stream.events[-1]["object"]["metadata"]["resourceVersion"]
    assert last == str(api.store.revision)


async def test_a_watch_resumes_strictly_after_its_version(api: Api) -> None:
    version = (await make(api, "a"))["metadata"]["resourceVersion"]
    await make(api, "b")
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=true&resourceVersion={version}", group)
        await make(api, "c")
        stream.abort()
    assert brief(stream) == [("ADDED", "b"), ("ADDED", "c")]


async def test_a_forgotten_version_ends_the_watch_with_410(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(caches, "HISTORY", 3)
    version = (await make(api, "a"))["metadata"]["resourceVersion"]
    for i in range(5):
        await make(api, f"b{i}")
    answer = await api.answer("GET", f"{MAPS}?watch=1&resourceVersion={version}")
    assert isinstance(answer, StreamResponse)
    stream = FakeStream()
    await answer.run(stream)
    assert [(e["type"], e["object"]["code"]) for e in stream.events] == [("ERROR", 410)]
    assert stream.events[0]["object"]["reason"] == "Expired"


async def test_selectors_turn_changes_into_added_and_deleted(api: Api) -> None:
    merge = "application/merge-patch+json"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=1&labelSelector=in=yes", group)
        await make(api, "a", **{"in": "no"})
        for value in ("yes", "yes2", "yes"):
            await api("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"in": value}}}, content_type=merge)
        await api("PATCH", f"{MAPS}/a", {"data": {"k": "x"}}, content_type=merge)
        await api("DELETE", f"{MAPS}/a")
        stream.abort()
    types = [e["type"] for e in stream.events]
    assert types == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in stream.events]
    assert versions == sorted(set(versions))
    assert stream.events[1]["object"]["metadata"]["labels"] == {"in": "yes"}  # its last matching state


async def test_initial_events_end_with_a_marked_bookmark(api: Api) -> None:
    await make(api, "a")
    for query in ("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "", "&resourceVersion=0"):
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{MAPS}?watch=1&allowWatchBookmarks=true{query}", group)
            await make(api, "b")
            stream.abort()
        assert [e["type"] for e in stream.events] == ["ADDED", "BOOKMARK", "ADDED"]
        assert stream.events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        await api("DELETE", f"{MAPS}/b")


async def test_bookmarks_carry_the_stores_revision(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=1&allowWatchBookmarks=true", group)
        quiet = await api.watch(f"{MAPS}?watch=1", group)
        api.clock.advance(61)
        api.server.caches.of("configmaps").tick(api.clock.monotonic(), api.store.revision)
        stream.abort()
        quiet.abort()
    assert [e["type"] for e in stream.events] == ["BOOKMARK", "BOOKMARK"]
    last = stream.events[1]["object"]["metadata"]
    assert (last["resourceVersion"], "annotations" in last) == (str(api.store.revision), False)
    assert quiet.events == []


async def test_a_watch_ends_after_its_timeout_and_lets_go(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(watch, "_timeout", lambda text: float(text) / 100)
    answer = await api.answer("GET", f"{MAPS}?watch=1&timeoutSeconds=1")
    assert isinstance(answer, StreamResponse)
    async with asyncio.timeout(5):
        await answer.run(FakeStream())
    assert api.server.caches.of("configmaps").watcher_count == 0


async def test_a_watch_that_ends_tells_how_far_it_came(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(watch, "_timeout", lambda text: float(text) / 100)
    for query, expected in (("", []), ("&allowWatchBookmarks=true", ["BOOKMARK"] * 2)):
        answer = await api.answer("GET", f"{MAPS}?watch=1&timeoutSeconds=1{query}")
        assert isinstance(answer, StreamResponse)
        stream = FakeStream()
        async with asyncio.timeout(5):
            await answer.run(stream)
        assert [e["type"] for e in stream.events if e["type"] == "BOOKMARK"] == expected
    assert stream.events[-1]["object"]["metadata"]["resourceVersion"] == str(api.store.revision)


async def test_watchers_of_one_form_share_the_encoded_event(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        streams = [await api.watch(f"{MAPS}?watch=1", group) for _ in range(3)]
        await make(api, "a")
        history = api.server.caches.of("configmaps").since(0 + api.store.revision - 1)
        assert len(history[0].encoded) == 1
        for stream in streams:
            stream.abort()
    assert len({b"".join(s.written) for s in streams}) == 1


async def test_tables_and_partial_metadata(api: Api) -> None:
    await make(api, "a")
    table = (await api("GET", MAPS, headers=TABLE)).json
    assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["a", 1])
    partial = (await api("GET", f"{MAPS}/a", headers=PARTIAL)).json
    assert (partial["kind"], "data" in partial) == ("PartialObjectMetadata", False)
    many = {"accept": PARTIAL["accept"].replace("Metadata;", "MetadataList;")}
    listed = (await api("GET", MAPS, headers=many)).json
    assert listed["kind"] == "PartialObjectMetadataList"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=1", group, headers=TABLE)
        stream.abort()
    assert stream.events[0]["object"]["kind"] == "Table"
    assert stream.events[0]["object"]["columnDefinitions"] == table["columnDefinitions"]
    refused = await api("GET", MAPS, headers={"accept": "application/xml"})
    assert (refused.code, refused.json["reason"]) == (406, "NotAcceptable")


async def test_only_the_first_table_of_a_watch_explains_its_columns(api: Api) -> None:
    await make(api, "a")
    await make(api, "b")
    async with asyncio.TaskGroup() as group:
        streams = [await api.watch(f"{MAPS}?watch=1", group, headers=TABLE)]
        late = f"{MAPS}?watch=1&resourceVersion={api.server.app._registry.caches.revision}"
        streams.append(await api.watch(late, group, headers=TABLE))
        await make(api, "c")
        await make(api, "d")
        for stream in streams:
            stream.abort()
    counts = [[len(e["object"]["columnDefinitions"] or ()) for e in stream.events] for stream in streams]
    assert counts == [[3, 0, 0, 0], [3, 0]]
    assert streams[0].events[1]["object"]["columnDefinitions"] is None  # Go's nil


@pytest.mark.parametrize("events", ["/apis/events.k8s.io/v1", "/api/v1"])
async def test_items_of_a_list_do_not_repeat_its_kind(api: Api, events: str) -> None:
    assert (await api("GET", MAPS)).json["items"] == []
    one, two = await make(api, "a"), await make(api, "b")
    for each in (one, two):
        del each["kind"], each["apiVersion"]
    assert (await api("GET", MAPS)).json["items"] == [one, two]
    event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "r"}
    await api("POST", "/api/v1/namespaces/default/events", event)
    (item,) = (await api("GET", f"{events}/namespaces/default/events")).json["items"]
    assert next(iter(item)) == "metadata"


async def test_big_lists_are_compressed_when_asked(api: Api) -> None:
    import gzip

    for i in range(3):
        await api("POST", MAPS, {"metadata": {"name": f"m{i}"}, "data": {"k": "x" * 60_000}})
    reply = await api("GET", MAPS, headers={"accept-encoding": "gzip"})
    assert reply.headers.get("content-encoding") == "gzip"
    assert len(orjson.loads(gzip.decompress(reply.body))["items"]) == 3


@pytest.mark.parametrize("name", ["", "/b"])
async def test_older_clients_watch_below_a_path_of_its_own(api: Api, name: str) -> None:
    """Ruby's kubeclient (fluentd), and the Javascript client that reads OpenAPI."""
    await make(api, "a")
    await make(api, "b")
    path = "/api/v1/watch/namespaces/default/configmaps"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{path}{name}", group)
        stream.abort()
    assert [named for _, named in brief(stream)] == (["b"] if name else ["a", "b"])
    assert (await api("POST", path, {"metadata": {"name": "c"}})).code == 405
    assert (await api("GET", f"{path}/b/status")).code == 404
    assert (await api("GET", "/api/v1/watch")).code == 404
