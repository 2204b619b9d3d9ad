"""The hint to kubelets, by the number of nodes."""

import asyncio

import pytest

from nanokube.api import objects
from nanokube.controllers.node_ttl import ANNOTATION, NODES, NodeTtlController, step_of
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage


@pytest.mark.parametrize(
    ("count", "before", "after"),
    [(1, 0, 0), (100, 0, 0), (101, 0, 1), (95, 1, 1), (89, 1, 0), (5000, 0, 4), (1799, 4, 3), (0, 4, 0)],
)
def test_step(count: int, before: int, after: int) -> None:
    assert step_of(count, before) == after


def test_nodes_are_annotated_and_again_when_there_are_many() -> None:
    async def story() -> None:
        stage = Stage(NodeTtlController)
        node = {"apiVersion": "v1", "kind": "Node"}
        stage.client.put({**node, "metadata": {"name": "n0"}})
        async with stage.running():
            await asyncio.sleep(1)
            assert objects.annotations(stage.client.all(NODES)[0]) == {ANNOTATION: "0"}
            for number in range(1, 101):
                stage.client.put({**node, "metadata": {"name": f"n{number}"}})
            await asyncio.sleep(1)
            assert {objects.annotations(each)[ANNOTATION] for each in stage.client.all(NODES)} == {"15"}

    virtual_time.run(story())
