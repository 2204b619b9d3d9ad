"""ReplicationControllers: the ReplicaSet's plan, a selector of plain labels."""

import asyncio

from nanokube.api import objects, resources
from nanokube.controllers import replicationcontroller
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import PODS, Stage, template

CONTROLLERS = resources.get("replicationcontrollers")


def test_count_is_kept_and_released_pod_is_replaced() -> None:
    async def story() -> None:
        stage = Stage(replicationcontroller.ReplicationController)
        async with stage.running():
            meta = {"name": "rc", "namespace": "ns"}
            spec = {"replicas": 2, "selector": {"app": "web"}, "template": template()}
            found = {"apiVersion": "v1", "kind": "ReplicationController", "metadata": meta, "spec": spec}
            await stage.client.create(CONTROLLERS, found)
            await asyncio.sleep(0.1)
            stage.all_ready()
            await asyncio.sleep(0.1)
            status = stage.status(CONTROLLERS, "ns/rc")
            assert (status["replicas"], status["readyReplicas"]) == (2, 2)
            assert "terminatingReplicas" not in status
            released = stage.names()[0]
            await stage.client.patch(PODS, released, {"metadata": {"labels": {"app": "other"}}}, "ns")
            await asyncio.sleep(0.1)
            assert len(stage.pods(app="web")) == 2
            pod = stage.client.read(PODS, f"ns/{released}")
            assert pod is not None
            assert objects.controller_of(pod) is None

    virtual_time.run(story())
