"""What is answered to those who accept or send odd types, as a real server answered them."""

from __future__ import annotations

import pytest

from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, PODS, Api, configmap, pod

OBJECTS = "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/cbor"
STREAMS = (
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch, application/cbor-seq"
)
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize("accept", ["text/plain", "foo", "text/html, application/xml;q=0.9"])
@pytest.mark.parametrize(
    ("method", "path", "offered"),
    [
        ("GET", CONFIGMAPS, f"{OBJECTS}, {STREAMS}"),
        ("GET", "/api/v1/watch/pods", f"{OBJECTS}, {STREAMS}"),
        ("GET", f"{CONFIGMAPS}/x", OBJECTS),
        ("POST", CONFIGMAPS, OBJECTS),
        ("DELETE", CONFIGMAPS, OBJECTS),
    ],
)
async def test_the_router_says_what_there_is(
    api: Api, accept: str, method: str, path: str, offered: str
) -> None:
    reply = await api(method, path, configmap("x") if method == "POST" else None, headers={"Accept": accept})
    message = f"406: Not Acceptable\n\nAvailable representations: {offered}"
    assert (reply.code, reply.json["message"], reply.json["details"]) == (406, message, {})


async def test_who_asks_again_is_told_the_same(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("x"))
    for headers in ({}, {"Accept": "text/plain"}, {"Accept": "text/plain"}):
        reply = await api("GET", f"{CONFIGMAPS}/x", headers=headers)
    message = f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"
    assert (reply.code, reply.json["message"]) == (406, message)


async def test_what_is_no_route_is_not_found_whatever_is_accepted(api: Api) -> None:
    reply = await api("GET", f"{CONFIGMAPS}/x/bogus", headers={"Accept": "text/plain"})
    assert reply.code == 404


@pytest.mark.parametrize("body", [b"[]", b"{"])
@pytest.mark.parametrize("kind", [MERGE, "application/json-patch+json"])
async def test_a_patch_of_what_is_not_there_is_not_read(api: Api, body: bytes, kind: str) -> None:
    assert (await api("PATCH", f"{CONFIGMAPS}/x", body, content_type=kind)).code == 404
    await api("POST", CONFIGMAPS, configmap("x"))
    reply = await api("PATCH", f"{CONFIGMAPS}/x", b"{", content_type=kind)
    assert (reply.code, reply.json["message"][:20]) == (400, "error decoding patch")


async def test_a_wrong_shape_is_told_of_what_is_there(api: Api) -> None:
    assert (await api("GET", f"{PODS}/p", headers={"Accept": METADATA})).code == 404
    await api("POST", PODS, pod())
    assert (await api("GET", f"{PODS}/p", headers={"Accept": METADATA})).code == 406


@pytest.mark.parametrize(
    ("path", "accept", "key", "expected"),
    [
        (CONFIGMAPS, METADATA, "items", None),
        (CONFIGMAPS, TABLE, "rows", []),
        ("/api/v1/limitranges", TABLE, "rows", None),
        ("/api/v1/limitranges", TABLE.replace("v=v1;", "v=v1beta1;"), "rows", None),
    ],
)
async def test_nothing_is_null_where_upstream_has_no_slice(
    api: Api, path: str, accept: str, key: str, expected: object
) -> None:
    reply = await api("GET", f"{path}?labelSelector=no", headers={"Accept": accept})
    assert reply.json[key] == expected


@pytest.mark.parametrize("subresource", ["exec", "attach", "proxy", "portforward"])
async def test_connections_cannot_be_dry_runs(api: Api, subresource: str) -> None:
    reply = await api("GET", f"{PODS}/p/{subresource}?dryRun=All")
    assert (reply.code, reply.json["message"]) == (400, "dryRun is not supported")


async def test_yaml_is_written_as_upstream_writes_it(api: Api) -> None:
    body = {
        "metadata": {"name": "x", "labels": {"one": "1", "two": "true"}},
        "data": {"b": "y: z", "a": "1\n2\n"},
    }
    await api("POST", CONFIGMAPS, body)
    reply = await api("GET", f"{CONFIGMAPS}/x", headers={"Accept": "application/yaml"})
    lines = reply.body.decode().splitlines()
    assert lines[:6] == ["apiVersion: v1", "data:", "  a: |", "    1", "    2", "  b: 'y: z'"]
    assert '    one: "1"' in lines
    assert '    two: "true"' in lines


async def test_reviews_tell_of_unknown_fields(api: Api) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    reply = await api("POST", path, {"a": "b"})
    assert reply.headers.get("warning") == '299 - "unknown field \\"a\\""'
