"""How bodies of custom resources are read, as a real server reads them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import Api
from tests.unit.nanokube.apiserver.custom_kinds import (
    GADGETS,
    SCALE,
    SCHEMA,
    define,
    definition,
    lively,
    version,
)

UNRECOGNIZED = "the object provided is unrecognized (must be of type Gadget): "
APPLY = "application/apply-patch+yaml"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"metadata":{"name":"a"}}', 400, UNRECOGNIZED + "Object 'Kind' is missing in '{\"metadata\""),
        (b'{"kind":"Gadget"}', 400, "the API version in the data () does not match the expected API version"),
        (
            b"[]",
            400,
            UNRECOGNIZED + "couldn't get version/kind; json parse error: json: cannot unmarshal array",
        ),
        (b"null", 400, UNRECOGNIZED + "Object 'Kind' is missing in 'null' (6e756c6c)"),
        (
            b'{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"a"}}',
            422,
            'Foo.example.com "a" is invalid: kind: Invalid value: "Foo": must be Gadget',
        ),
    ],
)
async def test_kind_and_version_must_be_said(api: Api, body: bytes, code: int, said: str) -> None:
    async with lively(api):
        await define(api, definition())
        reply = await api("POST", GADGETS, body)
        assert reply.code == code
        assert reply.json["message"].startswith(said), reply.json["message"]


async def test_rules_are_not_asked_of_what_has_no_name(api: Api) -> None:
    async with lively(api):
        schema = {**SCHEMA, "x-kubernetes-validations": [{"rule": "true"}]}
        made = definition()
        made["spec"]["versions"] = [{**version("v1"), "schema": {"openAPIV3Schema": schema}}]
        await define(api, made)
        reply = await api("POST", GADGETS, {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {}})
        assert (
            "some validation rules were not checked because the object was invalid" in reply.json["message"]
        )


async def test_a_scale_below_zero_is_refused_by_the_definitions_path(api: Api) -> None:
    async with lively(api):
        made = definition()
        made["spec"]["versions"] = [version("v1", subresources={"scale": SCALE, "status": {}})]
        await define(api, made)
        body: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "a"}}
        await api("POST", GADGETS, {**body, "spec": {"replicas": 1}})
        reply = await api(
            "PATCH",
            f"{GADGETS}/a/scale",
            {"spec": {"replicas": -1}},
            content_type="application/merge-patch+json",
        )
        said = 'Gadget.example.com "a" is invalid: .spec.replicas: Invalid value: -1: '
        said += "should be a non-negative integer"
        assert (reply.code, reply.json["message"]) == (422, said)


async def test_entries_of_maps_are_owned_and_go_as_a_whole(api: Api) -> None:
    async with lively(api):
        free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        schema = {"type": "object", "properties": {"any": free}}
        made = definition()
        made["spec"]["versions"] = [{**version("v1"), "schema": {"openAPIV3Schema": schema}}]
        await define(api, made)
        path = f"{GADGETS}/a?fieldManager=m"
        body: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Gadget"}
        body = {**body, "metadata": {"name": "a"}}
        reply = await api("PATCH", path, {**body, "any": {"o": {"p": 1}, "l": [1]}}, content_type=APPLY)
        (entry,) = reply.json["metadata"]["managedFields"]
        assert entry["fieldsV1"] == {"f:any": {"f:l": {}, "f:o": {".": {}, "f:p": {}}}}
        reply = await api("PATCH", path, {**body, "any": {"l": [1]}}, content_type=APPLY)
        assert reply.json["any"] == {"l": [1]}
