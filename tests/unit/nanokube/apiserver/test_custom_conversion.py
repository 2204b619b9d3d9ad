"""Custom resources that a webhook converts between versions, or fails to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nanokube.apiserver.extensions import conversion_webhook
from tests.unit.nanokube.apiserver import custom_kinds
from tests.unit.nanokube.apiserver.conftest import Api
from tests.unit.nanokube.apiserver.custom_kinds import CRDS, GADGETS, gadget, lively, version
from tests.unit.nanokube.apiserver.hookserver import HookServer, serving

NEWER = GADGETS.replace("/v1/", "/v2/")
V2_SCHEMA = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"length": {"type": "integer"}}}},
}


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """v1 calls size what v2 calls length."""
    found = []
    for obj in request["objects"]:
        old, new = ("size", "length") if request["desiredAPIVersion"].endswith("v2") else ("length", "size")
        spec = obj.get("spec") or {}
        found.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": {new: spec.get(old, 0)}})
    return {"convertedObjects": found, "result": {"status": "Success"}}


def definition(server: HookServer) -> dict[str, Any]:
    second = {**version("v2", is_stored=False), "schema": {"openAPIV3Schema": V2_SCHEMA}}
    crd = custom_kinds.definition(version("v1"), second)
    webhook = {"clientConfig": server.config, "conversionReviewVersions": ["v1"]}
    crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    return crd


async def test_reads_and_writes_are_converted(api: Api) -> None:
    async with serving(convert) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        assert (await api("POST", GADGETS, gadget(size=1))).code == 201
        assert server.requests == []
        found = await api("GET", f"{NEWER}/a")
        assert (found.code, found.json["spec"]) == (200, {"length": 1}), found.body
        assert found.json["apiVersion"] == "example.com/v2"
        asked = len(server.requests)
        assert (await api("GET", f"{NEWER}/a")).json == found.json
        assert len(server.requests) == asked  # remembered
        for name in ("b", "c"):
            made = await api("POST", NEWER, gadget(name, "example.com/v2", length=2))
            assert (made.code, made.json["spec"]) == (201, {"length": 2}), made.body
        assert (await api("GET", f"{GADGETS}/b")).json["spec"] == {"size": 2, "color": "red"}
        merge = {"content_type": "application/merge-patch+json"}
        patched = await api("PATCH", f"{NEWER}/b", {"spec": {"length": 5}}, **merge)
        assert (patched.code, patched.json["spec"]) == (200, {"length": 5}), patched.body
        replaced = await api("PUT", f"{NEWER}/b", {**patched.json, "spec": {"length": 6}})
        assert (replaced.code, replaced.json["spec"]) == (200, {"length": 6}), replaced.body
        listed = (await api("GET", NEWER)).json["items"]
        assert [i["spec"] for i in listed] == [{"length": 1}, {"length": 6}, {"length": 2}]
        assert (await api("DELETE", f"{NEWER}/b")).code == 200
        assert (await api("DELETE", NEWER)).code == 200
        assert (await api("GET", GADGETS)).json["items"] == []


async def test_a_list_is_converted_by_one_call(api: Api) -> None:
    async with serving(convert) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        for number in range(5):
            await api("POST", GADGETS, gadget(f"g{number}", size=number + 1))
        listed = (await api("GET", NEWER)).json["items"]
        assert [i["spec"]["length"] for i in listed] == [1, 2, 3, 4, 5]
        assert [len(r["objects"]) for r in server.requests] == [5]


async def test_watches_are_converted_in_order(api: Api) -> None:
    async with serving(convert) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        await api("POST", GADGETS, gadget("a", size=1))
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{NEWER}?watch=1", group)
            for number in range(4):
                await api("POST", GADGETS, gadget(f"g{number}", size=number + 1))
            await api("DELETE", f"{GADGETS}/g0")

            async def has_all() -> bool:
                return len(stream.events) == 6

            await custom_kinds.until(has_all)
            assert [(e["type"], e["object"]["metadata"]["name"]) for e in stream.events] == [
                ("ADDED", "a"),
                *(("ADDED", f"g{number}") for number in range(4)),
                ("DELETED", "g0"),
            ]
            assert stream.events[2]["object"]["spec"] == {"length": 2}
            stream.abort()


async def test_what_leaves_a_selection_is_shown_as_it_was(api: Api) -> None:
    async with serving(convert) as server, lively(api):
        crd = definition(server)
        crd["spec"]["versions"][1]["selectableFields"] = [{"jsonPath": ".spec.length"}]
        await custom_kinds.define(api, crd)
        async with asyncio.TaskGroup() as group:
            query = "?watch=1&fieldSelector=spec.length%3D1"
            stream = await api.watch(f"{NEWER}{query}", group)
            await api("POST", GADGETS, gadget(size=1))
            change = {"spec": {"size": 2}}
            changed = await api("PATCH", f"{GADGETS}/a", change, content_type="application/merge-patch+json")

            async def has_all() -> bool:
                return len(stream.events) == 2

            await custom_kinds.until(has_all)
            assert [(e["type"], e["object"]["spec"]) for e in stream.events] == [
                ("ADDED", {"length": 1}),
                ("DELETED", {"length": 1}),
            ]
            version_of = [e["object"]["metadata"]["resourceVersion"] for e in stream.events]
            assert version_of[1] == changed.json["metadata"]["resourceVersion"]
            stream.abort()


async def test_no_bookmark_passes_what_waits_to_be_converted(api: Api) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(request: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        await answer.wait()
        return convert(request)

    async with serving(late) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{NEWER}?watch=1&allowWatchBookmarks=true", group)
            before = len(stream.events)  # the bookmark that ends the initial state
            await api("POST", GADGETS, gadget(size=1))
            await asked.wait()
            api.clock.advance(61)
            cache = api.server.caches.of("gadgets.example.com")
            cache.tick(api.clock.monotonic(), api.store.revision)
            answer.set()

            async def is_told() -> bool:
                return len(stream.events) > before

            await custom_kinds.until(is_told)
            cache.tick(api.clock.monotonic(), api.store.revision)
            assert [e["type"] for e in stream.events[before:]] == ["ADDED", "BOOKMARK"]
            stream.abort()


async def test_a_watch_whose_definition_goes_while_it_waits_ends(api: Api) -> None:
    """The webhook answers when nobody needs its answer any more."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(request: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        await answer.wait()
        return convert(request)

    async with serving(late) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{NEWER}?watch=1", group)
            await api("POST", GADGETS, gadget(size=1))
            await asked.wait()
            assert (await api("DELETE", f"{CRDS}/gadgets.example.com")).code == 200

            async def is_gone() -> bool:
                return (await api("GET", f"{CRDS}/gadgets.example.com")).code == 404

            await custom_kinds.until(is_gone)
            answer.set()
        assert stream.events == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda r: {"result": {"status": "Failed", "message": "no"}}, "failed: no"),
        (lambda r: b"garbage", "failed: "),
        (lambda r: {"uid": "other", **convert(r)}, "expected response.uid="),
        (lambda r: {**convert(r), "convertedObjects": []}, "returned 0 objects, expected 1"),
    ],
)
async def test_who_answers_badly_fails_the_request_and_nothing_else(
    api: Api, answer: Any, message: str
) -> None:
    async with serving(answer) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        await api("POST", GADGETS, gadget(size=1))
        for method, target, body in (
            ("GET", f"{NEWER}/a", None),
            ("GET", NEWER, None),
            ("POST", NEWER, gadget("b", "example.com/v2", length=1)),
        ):
            reply = await api(method, target, body)
            assert (reply.code, message in reply.json["message"]) == (500, True), reply.body
        assert [i["metadata"]["name"] for i in (await api("GET", GADGETS)).json["items"]] == ["a"]
        assert (await api("DELETE", f"{CRDS}/gadgets.example.com")).code == 200


async def test_one_that_never_answers_holds_nobody_else_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the other version waits until the call's timeout; all others are served meanwhile."""
    monkeypatch.setattr(conversion_webhook, "TIMEOUT_S", 0.5)
    asked = asyncio.Event()

    async def hang(request: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        await asyncio.sleep(30)
        return convert(request)

    async with serving(hang) as server, lively(api):
        await custom_kinds.define(api, definition(server))
        await api("POST", GADGETS, gadget(size=1))
        async with asyncio.TaskGroup() as group:
            questions = (
                ("GET", f"{NEWER}/a", None),
                ("GET", NEWER, None),
                ("POST", NEWER, gadget("b", "example.com/v2", length=1)),
            )
            waiting = [group.create_task(api(*question)) for question in questions]
            await asked.wait()
            assert (await api("POST", GADGETS, gadget("c", size=1))).code == 201
            assert (await api("GET", f"{GADGETS}/a")).json["spec"]["size"] == 1
            assert (await api("DELETE", f"{GADGETS}/c")).code == 200
            assert not any(task.done() for task in waiting)
        for task in waiting:
            reply = task.result()
            assert (reply.code, "conversion webhook for" in reply.json["message"]) == (500, True), reply.body
        assert [i["metadata"]["name"] for i in (await api("GET", GADGETS)).json["items"]] == ["a"]


async def test_a_watch_that_cannot_be_converted_ends_with_an_error(api: Api) -> None:
    async with serving(lambda r: b"garbage") as server, lively(api):
        await custom_kinds.define(api, definition(server))
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{NEWER}?watch=1", group)
            await api("POST", GADGETS, gadget(size=1))
        assert [e["type"] for e in stream.events] == ["ERROR"]
