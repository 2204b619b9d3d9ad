"""Forms that clients negotiate besides JSON v1: protobuf, CBOR, meta.k8s.io/v1beta1."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from nanokube.api import cbor, protobuf
from nanokube.kit.http.message import StreamResponse
from tests.unit.nanokube.apiserver.conftest import PODS, Api, FakeStream, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PROTOBUF = "application/vnd.kubernetes.protobuf"
ONLY = {"accept": PROTOBUF}
PARTIAL = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def events(stream: FakeStream) -> list[tuple[str, Any]]:
    found, data = [], b"".join(stream.written)
    while data:
        (size,) = struct.unpack(">I", data[:4])
        event, data = data[4 : 4 + size], data[4 + size :]
        kind = event[2 : 2 + event[1]].decode()
        found.append((kind, protobuf.decode(event[event.index(protobuf.MAGIC) :])))
    return found


async def test_who_accepts_only_protobuf_gets_it(api: Api) -> None:
    made = await api("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}, headers=ONLY)
    assert (made.code, made.content_type) == (201, PROTOBUF)
    stored = (await api("GET", f"{MAPS}/a")).json
    assert protobuf.decode(made.body) == stored
    listed = await api("GET", MAPS, headers=ONLY)
    assert protobuf.decode(listed.body)["items"][0]["data"] == {"k": "v"}
    assert protobuf.decode((await api("GET", f"{MAPS}/a/none", headers=ONLY)).body)["kind"] == "Status"
    await api("POST", PODS, pod())
    refused = await api("GET", PODS, headers={"accept": f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1"})
    assert refused.code == 406


@pytest.mark.parametrize(
    "accept", [f"{PROTOBUF}, */*", f"{PROTOBUF},application/json", f"application/json,{PROTOBUF}"]
)
async def test_who_accepts_json_too_gets_the_stored_bytes(api: Api, accept: str) -> None:
    await api("POST", MAPS, {"metadata": {"name": "a"}})
    assert (await api("GET", f"{MAPS}/a", headers={"accept": accept})).content_type == "application/json"


@pytest.mark.parametrize(("accept", "has_data"), [(PROTOBUF, True), (PARTIAL, False)])
async def test_a_watch_in_protobuf_is_framed(api: Api, accept: str, has_data: bool) -> None:
    await api("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    options = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    answer = await api.answer("GET", f"{MAPS}?{options}", headers={"accept": accept})
    assert isinstance(answer, StreamResponse)
    assert answer.content_type == f"{PROTOBUF};stream=watch"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?{options}", group, headers={"accept": accept})
        await api("DELETE", f"{MAPS}/a")
        await asyncio.sleep(0)
        stream.abort()
    assert [kind for kind, _ in events(stream)] == ["ADDED", "BOOKMARK", "DELETED"]
    shown = events(stream)[0][1]
    assert (shown["metadata"]["name"], "data" in shown) == ("a", has_data)
    assert events(stream)[1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_failed_watch_in_protobuf_says_why(api: Api) -> None:
    for _ in range(2):
        await api("POST", MAPS, {"metadata": {"generateName": "a-"}})
    cache = api.server.app._registry.caches.of("configmaps")
    cache._oldest = cache.changed
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?watch=1&resourceVersion=1", group, headers=ONLY)
        stream.abort()
    ((kind, status),) = events(stream)
    assert (kind, status["reason"]) == ("ERROR", "Expired")


async def test_tables_and_metadata_of_v1beta1(api: Api) -> None:
    await api("POST", PODS, pod())
    table = await api("GET", PODS, headers={"accept": "application/json;as=Table;g=meta.k8s.io;v=v1beta1"})
    assert (table.json["kind"], table.json["apiVersion"]) == ("Table", "meta.k8s.io/v1beta1")
    assert table.json["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"
    shape = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1"
    found = (await api("GET", PODS, headers={"accept": shape})).json
    assert {found["apiVersion"], found["items"][0]["apiVersion"]} == {"meta.k8s.io/v1beta1"}
    unknown = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v2"}
    assert (await api("GET", PODS, headers=unknown)).code == 406


async def test_subresources_answer_as_asked(api: Api) -> None:
    await api("POST", PODS, pod())
    found = await api("GET", f"{PODS}/p/ephemeralcontainers", headers=ONLY)
    assert protobuf.decode(found.body)["kind"] == "Pod"


CBOR = "application/cbor"


async def test_cbor_goes_in_and_comes_out(api: Api) -> None:
    tree = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "dg=="}}
    secrets = "/api/v1/namespaces/default/secrets"
    only = {"accept": CBOR}
    made = await api("POST", secrets, cbor.encode(tree), content_type=CBOR, headers=only)
    assert (made.code, made.content_type) == (201, CBOR)
    stored = (await api("GET", f"{secrets}/a")).json
    assert stored["data"] == {"k": "dg=="}
    assert cbor.decode(made.body) == stored
    listed = cbor.decode((await api("GET", secrets, headers=only)).body)
    assert (listed["kind"], listed["items"][0]["data"]) == ("SecretList", {"k": "dg=="})
    both = await api("GET", secrets, headers={"accept": f"{CBOR}, application/json"})
    assert both.content_type == "application/json"
    table = await api("GET", secrets, headers={"accept": f"{CBOR};as=Table;g=meta.k8s.io;v=v1"})
    assert table.code == 406


async def test_unknown_fields_in_cbor_are_treated_as_asked(api: Api) -> None:
    body = cbor.encode({"metadata": {"name": "a"}, "foo": 1})
    strict = await api("POST", f"{MAPS}?fieldValidation=Strict", body, content_type=CBOR)
    said = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error'
    assert (strict.code, strict.json["message"]) == (400, f'{said}: unknown field "foo"')
    warned = await api("POST", MAPS, body, content_type=CBOR)
    assert (warned.code, warned.headers.get("warning")) == (201, '299 - "unknown field \\"foo\\""')


async def test_a_configuration_in_cbor_is_applied(api: Api) -> None:
    tree = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    target = f"{MAPS}/a?fieldManager=m"
    made = await api("PATCH", target, cbor.encode(tree), content_type="application/apply-patch+cbor")
    assert (made.code, made.json["metadata"]["managedFields"][0]["operation"]) == (201, "Apply")
    broken = await api("PATCH", target, b"\xff", content_type="application/apply-patch+cbor")
    assert broken.code == 400


async def test_a_watch_in_cbor_is_a_sequence(api: Api) -> None:
    await api("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    answer = await api.answer("GET", f"{MAPS}?watch=1", headers={"accept": CBOR})
    assert isinstance(answer, StreamResponse)
    assert answer.content_type == "application/cbor-seq"
    stream = FakeStream()
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[None] = group.create_task(answer.run(stream))  # type: ignore[arg-type]
        await asyncio.sleep(0.005)
        await api("DELETE", f"{MAPS}/a")
        await asyncio.sleep(0.005)
        task.cancel()
    found = list(cbor.decode_sequence(b"".join(stream.written)))
    assert [(e["type"], e["object"].get("data")) for e in found] == [
        ("ADDED", {"k": "v"}),
        ("DELETED", {"k": "v"}),
    ]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/yaml", "application/yaml"),
        ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"),
        ("application/vnd.kubernetes.protobuf,application/json", "application/json"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", "application/json"),
        ("text/plain", "application/json"),
    ],
)
async def test_refusals_come_in_the_form_asked_for(api: Api, accept: str, media: str) -> None:
    found = await api("GET", f"{MAPS}/none", headers={"accept": accept})
    assert found.content_type == media
    assert b"Status" in found.body


async def test_people_read_refusals_line_by_line(api: Api) -> None:
    found = await api("GET", f"{MAPS}/none", headers={"user-agent": "curl/8"})
    assert found.body.startswith(b'{\n  "kind": "Status",\n')


async def test_what_a_table_includes_is_one_of_three(api: Api) -> None:
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    refused = await api("GET", f"{MAPS}?includeObject=x", headers=table)
    assert refused.code == 400
    assert refused.json["message"] == (
        'Unable to convert to Table as requested: includeObject: Invalid value: "x": '
        "must be 'Metadata', 'Object', 'None', or empty"
    )
    assert (await api("GET", f"{MAPS}?watch=1&includeObject=x", headers=table)).code == 400
    assert (await api("GET", f"{MAPS}?includeObject=x")).code == 200


@pytest.mark.parametrize(
    ("include", "kind"),
    [("None", "PartialObjectMetadata"), ("", "PartialObjectMetadata"), ("Object", "ConfigMap")],
)
async def test_the_end_of_the_initial_state_is_a_row_of_an_empty_object(
    api: Api, include: str, kind: str
) -> None:
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    query = f"watch=1&allowWatchBookmarks=true&includeObject={include}"
    async with asyncio.TaskGroup() as group:
        stream = await api.watch(f"{MAPS}?{query}", group, headers=table)
        api.clock.advance(61)
        api.server.caches.of("configmaps").tick(api.clock.monotonic(), api.store.revision)
        stream.abort()
    first, second = stream.events
    assert (first["type"], first["object"]["columnDefinitions"]) == ("BOOKMARK", None)
    (row,) = first["object"]["rows"]
    assert (row["cells"], row["object"]["kind"]) == (["", 0, "<unknown>"], kind)
    assert row["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert second["object"]["rows"] == []


async def test_nodes_without_an_address_are_shown(api: Api) -> None:
    await api("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    status = {"status": {"addresses": [{"type": "InternalIP"}]}}
    await api("PATCH", "/api/v1/nodes/n/status", status, content_type="application/merge-patch+json")
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    assert (await api("GET", "/api/v1/nodes", headers=table)).code == 200
