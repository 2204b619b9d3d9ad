"""How bodies and patches of a wrong kind are refused, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

SPACES = "/api/v1/namespaces"
NOT_ONE = "the object provided is unrecognized (must be of type Namespace): "
PARSE = f"{NOT_ONE}couldn't get version/kind; json parse error: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"apiVersion: v1\nkind: Pod\nmetadata",
            f"{PARSE}invalid character 'a' looking for beginning of value "
            "(61706956657273696f6e3a2076310a6b696e643a20506f640a6d65746164 ...)",
        ),
        (b"", f"{PARSE}unexpected end of JSON input (<empty>)"),
        (
            b'{"kind":5}',
            f'{PARSE}json: cannot unmarshal number into Go struct field .kind of type string ({{"kind":5}})',
        ),
        (
            b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[]}}',
            'Pod in version "v1" cannot be handled as a Namespace: converting (v1.Pod) to (core.Namespace): '
            "unknown conversion",
        ),
        (
            b'{"apiVersion":"v2","kind":"Namespace"}',
            'Namespace in version "v2" cannot be handled as a Namespace: no kind "Namespace" '
            'is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
        (
            b'{"apiVersion":"a/b/c","kind":"Foo"}',
            f'{NOT_ONE}unexpected GroupVersion string: a/b/c ({{"apiVersion":"a/b/c","kind":" ...)',
        ),
        (
            b'{"metadata":"x"}',
            'Namespace in version "v1" cannot be handled as a Namespace: json: cannot unmarshal string into '
            "Go struct field Namespace.metadata of type v1.ObjectMeta",
        ),
    ],
)
async def test_bodies(api: Api, body: bytes, message: str) -> None:
    reply = await api("POST", f"{SPACES}?fieldValidation=Strict", body)
    assert (reply.code, reply.json["message"]) == (400, message)


async def test_yaml_that_cannot_be_read(api: Api) -> None:
    reply = await api("POST", SPACES, b"a: [\n", content_type="application/yaml")
    assert reply.json["message"] == f"{NOT_ONE}yaml: line 1: did not find expected node content (613a205b0a)"


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (
            "strategic-merge",
            {"metadata": {"labels": "invalid"}},
            ' "" is invalid: patch: Invalid value: "map[metadata:map[labels:invalid]]": '
            "cannot restore map from string",
        ),
        ("strategic-merge", [], "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("strategic-merge", b"nonsense", "invalid character 'o' in literal null (expecting 'u')"),
        (
            "merge",
            "x",
            "error decoding patch: json: cannot unmarshal string into Go value of type "
            "map[string]interface {}",
        ),
        ("merge", b"{", "error decoding patch: unexpected end of JSON input"),
    ],
)
async def test_patches(api: Api, kind: str, body: Any, message: str) -> None:
    await api("POST", PODS, pod("a"))
    reply = await api("PATCH", f"{PODS}/a", body, content_type=f"application/{kind}-patch+json")
    assert reply.json["message"] == message


async def test_a_refused_merge_patch_shows_what_it_made(api: Api) -> None:
    await api("POST", PODS, pod("a"))
    body = {"metadata": {"labels": 5}}
    reply = await api("PATCH", f"{PODS}/a", body, content_type="application/merge-patch+json")
    began, _, cause = reply.json["message"].rpartition('": ')
    assert began.startswith(' "" is invalid: patch: Invalid value: "{\\"')
    assert '\\"labels\\":5' in began
    assert cause == (
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type "
        "map[string]string"
    )


async def test_items_of_a_list_that_is_not_there_yet_need_no_keys(api: Api) -> None:
    await api("POST", PODS, pod("a"))
    body = {"metadata": {"ownerReferences": [{"kind": "Pod", "apiVersion": "v1", "name": "b"}]}}
    reply = await api("PATCH", f"{PODS}/a", body, content_type="application/strategic-merge-patch+json")
    assert reply.code == 422
    assert "metadata.ownerReferences.uid: Invalid value" in reply.json["message"]
