"""OpenAPI of custom resources: laid over the documents of built-in ones as definitions come and go."""

from __future__ import annotations

import asyncio
import gzip
import threading
from typing import Any

import orjson
import pytest

from nanokube.api import resources
from nanokube.api.custom import openapi as custom_openapi
from nanokube.api.openapi import archive, gnostic
from nanokube.api.resource import Resource
from nanokube.apiserver import openapi
from tests.unit.nanokube.apiserver.conftest import Api
from tests.unit.nanokube.apiserver.custom_kinds import CRDS, SCALE, define, definition, lively, until, version

NAME = "com.example.v1.Gadget"


@pytest.fixture(scope="module")
def small() -> archive.Archive:
    return archive.build([resources.get("pods"), resources.get("deployments.apps")])


@pytest.fixture(autouse=True)
def _small(small: archive.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "_made_elsewhere", lambda: small)


async def test_version_2_has_what_is_defined_while_it_is(api: Api) -> None:
    async with lively(api):
        before = await api("GET", "/openapi/v2")
        await define(api, definition(version("v1", subresources={"status": {}, "scale": SCALE})))
        reply = await api("GET", "/openapi/v2")
        found = reply.json
        assert found["definitions"].keys() - before.json["definitions"].keys() == {NAME, f"{NAME}List"}
        properties = found["definitions"][NAME]["properties"]
        assert properties["spec"]["properties"]["size"] == {"type": "integer", "minimum": 1}
        assert properties["metadata"]["$ref"].endswith("ObjectMeta")
        added = found["paths"].keys() - before.json["paths"].keys()
        assert "/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}/scale" in added
        zipped = await api("GET", "/openapi/v2", headers={"accept-encoding": "gzip"})
        assert orjson.loads(gzip.decompress(zipped.body)) == found
        assert zipped.headers.get("etag") == reply.headers.get("etag") != before.headers.get("etag")
        again = await api("GET", "/openapi/v2", headers={"if-none-match": reply.headers.get("etag")})
        assert again.code == 304
        await api("DELETE", f"{CRDS}/gadgets.example.com")

        async def is_gone() -> bool:
            return NAME not in (await api("GET", "/openapi/v2")).json["definitions"]

        await until(is_gone)


async def test_version_2_as_protobuf_says_the_same_behind_the_rest(api: Api) -> None:
    async with lively(api):
        headers = {"accept": gnostic.CONTENT_TYPE}
        before = await api("GET", "/openapi/v2", headers=headers)
        await define(api, definition())
        after = await api("GET", "/openapi/v2", headers=headers)
        assert after.body.startswith(before.body)
        assert NAME.encode() in after.body[len(before.body) :]


async def test_version_3_has_a_document_for_the_group_version(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        paths = (await api("GET", "/openapi/v3")).json["paths"]
        address = paths["apis/example.com/v1"]["serverRelativeURL"]
        document = (await api("GET", address)).json
        schemas = document["components"]["schemas"]
        assert schemas[NAME]["properties"]["spec"]["properties"]["color"]["default"] == "red"
        assert schemas[NAME]["x-kubernetes-group-version-kind"] == [
            {"group": "example.com", "version": "v1", "kind": "Gadget"}
        ]
        text = orjson.dumps(document).decode()
        used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert used <= schemas.keys()
        patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}"]["patch"]
        assert not [t for t in patch["requestBody"]["content"] if "strategic" in t]


async def test_only_what_changes_is_made_anew(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        first: dict[str, Any] = (await api("GET", "/openapi/v3")).json["paths"]
        other = definition(plural="gizmos")
        other["metadata"]["name"] = "gizmos.other.com"
        other["spec"]["group"] = "other.com"
        await define(api, other)
        second = (await api("GET", "/openapi/v3")).json["paths"]
        assert second.keys() - first.keys() == {"apis/other.com/v1"}
        assert {key: second[key] for key in first} == first


async def test_the_index_does_not_wait_for_documents(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who applies many definitions asks for the index before each."""
    async with lively(api):
        await define(api, definition())
        with monkeypatch.context() as patched:
            patched.setattr(custom_openapi, "v3", None)
            path = (await api("GET", "/openapi/v3")).json["paths"]["apis/example.com/v1"]["serverRelativeURL"]
        reply = await api("GET", path)
        assert reply.code == 200
        assert path.endswith(f"hash={reply.headers.get('etag').strip(chr(34))}")


async def test_others_are_answered_while_a_document_is_made(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), list[str]()
    v2 = custom_openapi.v2

    def slow(resource: Resource, said: custom_openapi.Descriptions) -> custom_openapi.Document:
        begun.append(resource.name)
        assert gate.wait(5), "nobody else was answered"
        return v2(resource, said)

    async with lively(api):
        await define(api, definition())
        monkeypatch.setattr(custom_openapi, "v2", slow)
        async with asyncio.TaskGroup() as group:
            early = [group.create_task(api("GET", "/openapi/v2")) for _ in range(3)]
            while not begun:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.001)
            assert (await api("GET", "/version")).code == 200
            other = definition(plural="gizmos")
            other["metadata"]["name"] = "gizmos.other.com"
            other["spec"]["group"] = "other.com"
            await define(api, other)
            late = group.create_task(api("GET", "/openapi/v2"))
            gate.set()
        found = {NAME, "com.other.v1.Gizmo"}
        assert all(NAME in task.result().json["definitions"] for task in early)
        assert found <= late.result().json["definitions"].keys()
        # once as it was, once as it is: whoever waits takes what another had made
        assert begun == ["gadgets.example.com", "gadgets.example.com", "gizmos.other.com"]


async def test_it_is_published_before_the_write_that_establishes_it_is_answered(api: Api) -> None:
    """Upstream publishes in a second; here there is no moment in which clients could see a difference."""
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    async def places() -> list[bool]:
        groups = (await api("GET", "/apis")).json["groups"]
        tree = (await api("GET", "/apis", headers={"accept": aggregated})).json["items"]
        resources_of = await api("GET", "/apis/example.com/v1")
        return [
            "example.com" in [group["name"] for group in groups],
            "example.com" in [group["metadata"]["name"] for group in tree],
            resources_of.code == 200,
            (await api("GET", "/apis/example.com/v1/gadgets")).code == 200,
            NAME in (await api("GET", "/openapi/v2")).json["definitions"],
            "apis/example.com/v1" in (await api("GET", "/openapi/v3")).json["paths"],
        ]

    async with lively(api):
        assert not any(await places())
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{CRDS}?watch=1", group)
            await define(api, definition())
            assert all(await places())
            await api("DELETE", f"{CRDS}/gadgets.example.com")

            async def is_told() -> bool:
                return any(event["type"] == "DELETED" for event in stream.events)

            await until(is_told)
            assert not any(await places())
            stream.abort()
