"""A large definition is judged in slices: counts turns, not time."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest

from nanokube.apiserver import slices
from tests.unit.nanokube.apiserver import custom_kinds
from tests.unit.nanokube.apiserver.conftest import Api

_ROOT = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FIELDS = 40


def _definition(expression: str = "self.a == self.a") -> dict[str, Any]:
    rules = [{"rule": expression}]
    part = {"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": rules}
    schema = {"type": "object", "properties": {f"field{number}": part for number in range(_FIELDS)}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.ex.io"},
        "spec": {
            "group": "ex.io",
            "names": {"plural": "things", "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


async def _turns(api: Api, method: str, path: str, body: dict[str, Any], code: int) -> int:
    """Count how often another got its turn during a request."""
    turns, is_done = 0, False

    async def other() -> None:
        nonlocal turns
        while not is_done:
            turns += 1
            await asyncio.sleep(0)

    with mock.patch.object(slices, "SLICE_S", 0.0):
        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            assert (await api(method, path, body)).code == code
            is_done = True
    return turns


async def test_others_have_their_turns(api: Api) -> None:
    assert await _turns(api, "POST", _ROOT, _definition(), 201) > 2 * _FIELDS
    found = (await api("GET", f"{_ROOT}/things.ex.io")).json
    found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "new"
    assert await _turns(api, "PUT", f"{_ROOT}/things.ex.io", found, 200) > 2 * _FIELDS


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_is_wrong_is_refused(api: Api, method: str) -> None:
    path, body = _ROOT, _definition("self.b")
    if method == "PUT":
        assert (await api("POST", _ROOT, _definition())).code == 201
        path = f"{_ROOT}/things.ex.io"
        body["metadata"] = (await api("GET", path)).json["metadata"]
    assert await _turns(api, method, path, body, 422) > _FIELDS


async def test_a_kind_is_prepared_in_turns(api: Api) -> None:
    async with custom_kinds.lively(api):
        await custom_kinds.define(api, _definition())
        thing = {"apiVersion": "ex.io/v1", "kind": "Thing", "metadata": {"name": "a"}}
        path = "/apis/ex.io/v1/namespaces/default/things"
        assert await _turns(api, "POST", path, thing, 201) > _FIELDS
        thing["metadata"] = {"name": "b"}
        assert await _turns(api, "POST", path, thing, 201) < _FIELDS
