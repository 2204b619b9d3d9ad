"""Many policies keep no others waiting, nor are they read again for one change."""

from __future__ import annotations

import asyncio
from unittest import mock

from nanokube.apiserver import slices
from nanokube.apiserver.admission.policies import batches, policy
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


async def test_compiling_policies_does_not_keep_others(api: Api) -> None:
    """Counts turns, not time: with no patience each step is a slice."""
    with mock.patch.object(slices, "SLICE_S", 0.0), mock.patch.object(batches, "SIZE", 4):
        for number in range(20):
            condition = {"name": "only", "expression": f"size(object.metadata.name) > {number + 100}"}
            await bind(
                api, "validating", {"matchConditions": [condition], **check("false")}, name=f"p{number}"
            )
        turns, is_done = 0, False

        async def other() -> None:
            nonlocal turns
            while not is_done:
                turns += 1
                assert (await api("GET", f"{MAPS}/none")).code == 404
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            both = [group.create_task(api("POST", MAPS, config_map(name))) for name in ("a", "b")]
            for task in both:
                assert (await task).code == 201
            is_done = True
        assert turns > 3 * 20  # read, chosen, compiled


async def test_a_change_reads_only_what_changed(api: Api) -> None:
    for number in range(5):
        await bind(api, "validating", check("true"), name=f"p{number}")
    assert (await api("POST", MAPS, config_map("a"))).code == 201
    with mock.patch.object(policy, "read", side_effect=policy.read) as read:
        await bind(api, "validating", check("object.metadata.name != 'c'", message="never"), name="p7")
        assert (await api("POST", MAPS, config_map("b"))).code == 201
        assert (await api("POST", MAPS, config_map("c"))).code == 422
        assert read.call_count == 1
