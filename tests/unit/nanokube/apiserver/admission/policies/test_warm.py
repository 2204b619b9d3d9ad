"""Policies are compiled before they are asked."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from nanokube.api.cel import admission as expressions
from nanokube.apiserver.admission.policies import batches, policy, warm
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


def _read(*found: dict[str, Any]) -> policy.Policy:
    made = {"metadata": {"name": "p"}, "spec": {"matchConstraints": {"resourceRules": list(found)}}}
    return policy.read(made, [])


def _rule(resource: str, *operations: str, group: str = "") -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": [resource],
    }


def test_what_most_are_about_is_first() -> None:
    pods, secrets = _read(_rule("pods", "CREATE")), _read(_rule("secrets", "*"))
    nothing = _read(_rule("secrets", "DELETE"), _rule("gadgets", "CREATE"), _rule("pods/log", "CONNECT"))
    everything = _read(_rule("*", "CREATE", group="*"))
    found = [
        (operation, resource.plural)
        for operation, resource in warm.likely((pods, secrets, nothing, everything))
    ]
    assert found[0] == ("CREATE", "pods")
    assert sorted(found[1:]) == [("CREATE", "secrets"), ("UPDATE", "secrets")]


async def test_the_first_request_finds_all_compiled(api: Api) -> None:
    for number in range(5):
        condition = {"name": "only", "expression": f"size(object.metadata.name) > {number + 7000}"}
        await bind(
            api,
            "validating",
            {"matchConditions": [condition], **check(f"{number} < 7000")},
            name=f"w{number}",
        )
    await api.server.policies.settle()
    with (
        mock.patch.object(policy, "read", side_effect=AssertionError),
        mock.patch.object(batches, "_bucket", side_effect=AssertionError),
        mock.patch.object(expressions, "environment", side_effect=AssertionError),
    ):
        assert (await api("POST", MAPS, config_map("a"))).code == 201


async def test_changes_are_followed_when_they_rest(api: Api) -> None:
    api.server.policies._rest_s = 0.0
    settled = asyncio.Queue[None]()

    async def settle() -> None:
        settled.put_nowait(None)

    with mock.patch.object(api.server.policies, "settle", settle):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(api.server.policies.run())
            await settled.get()
            assert settled.empty()
            await bind(api, "validating", check("true"), name="f")
            await settled.get()
            task.cancel()
