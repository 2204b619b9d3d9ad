"""All controllers together on a fake server, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from nanokube.api import objects, resources, timestamps
from nanokube.client import fake
from nanokube.controllers import run
from nanokube.controllers.env import Options
from nanokube.kit import clock, virtual_time

NAMESPACES = resources.get("namespaces")
PODS = resources.get("pods")
NODES = resources.get("nodes")
LEASES = resources.get("leases.coordination.k8s.io")
CONFIG_MAPS = resources.get("configmaps")
ACCOUNTS = resources.get("serviceaccounts")
DEPLOYMENTS = resources.get("deployments.apps")
REPLICASETS = resources.get("replicasets.apps")
SERVICES = resources.get("services")
SLICES = resources.get("endpointslices.discovery.k8s.io")
ENDPOINTS = resources.get("endpoints")
EVENTS = resources.get("events")


class World(fake.FakeClient):
    """A server whose clock is the loop's."""

    def __init__(self) -> None:
        self.time = clock.LoopClock()
        super().__init__(time=self.time)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run.run(self, Options(root_ca="CA"), time=self.time))
            await asyncio.sleep(1)
            yield
            task.cancel()

    def stamp(self) -> str:
        return timestamps.format_time(self.time.time())

    def object(self, kind: str, name: str, *, owner: Any = None, **more: Any) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": name, "namespace": "ns", **more.pop("metadata", {})}
        if owner is not None:
            meta["ownerReferences"] = [objects.controller_reference(owner)]
        version = {"ReplicaSet": "apps/v1", "Deployment": "apps/v1"}.get(kind, "v1")
        return {"apiVersion": version, "kind": kind, "metadata": meta, **more}

    async def add(self, kind: str, name: str, *, owner: Any = None, **more: Any) -> dict[str, Any]:
        obj = self.object(kind, name, owner=owner, **more)
        return await self.create(self.resource_of(obj), obj)

    def names(self, resource: resources.Resource, namespace: str = "ns") -> list[str]:
        return [objects.name(obj) for obj in self.all(resource, namespace)]

    def pod(self, name: str, address: str, *, ready: bool = True, **more: Any) -> dict[str, Any]:
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        spec = {
            "nodeName": "n1",
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 80}]}],
        }
        spec |= more.pop("spec", {})
        pod = self.object("Pod", name, spec=spec, status=status, **more)
        pod["metadata"].setdefault("labels", {"app": "web"})
        return self.put(pod)

    async def add_namespace(self) -> None:
        await self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        await asyncio.sleep(1)


def test_namespace_gets_its_account_and_root_ca_and_gets_them_back() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            assert world.names(ACCOUNTS) == ["default"]
            await world.delete(CONFIG_MAPS, "kube-root-ca.crt", "ns")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["kube-root-ca.crt"]
            await world.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "evil", "x": "y"}}, "ns")
            await asyncio.sleep(1)
            assert world.all(CONFIG_MAPS)[0]["data"] == {"ca.crt": "CA"}

    virtual_time.run(scenario())


def test_namespace_is_emptied_pods_first_and_goes() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            world.pod(
                "held", "10.0.0.1", metadata={"finalizers": ["example.com/hold"]}, spec={"nodeName": ""}
            )
            await world.delete(NAMESPACES, "ns")
            await asyncio.sleep(5)
            assert world.names(CONFIG_MAPS) == ["kube-root-ca.crt"]
            conditions = {c["type"]: c for c in objects.conditions(world.all(NAMESPACES)[0])}
            assert conditions["NamespaceContentRemaining"]["message"] == (
                "Some resources are remaining: pods. has 1 resource instances"
            )
            assert conditions["NamespaceFinalizersRemaining"]["status"] == "True"
            await world.patch(PODS, "held", {"metadata": {"finalizers": None}}, "ns")
            await asyncio.sleep(20)
            assert world.all(NAMESPACES) == []
            assert world.names(CONFIG_MAPS) == []
            assert world.names(ACCOUNTS) == []

    virtual_time.run(scenario())


def test_dependents_of_an_absent_owner_are_collected_in_turn() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            owner = await world.add("ConfigMap", "owner")
            middle = await world.add("ConfigMap", "middle", owner=owner)
            await world.add("ConfigMap", "leaf", owner=middle)
            await world.add("ConfigMap", "bystander")
            await asyncio.sleep(1)
            await world.delete(CONFIG_MAPS, "owner", "ns", propagation="Background")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["bystander"]
            stray = {**owner, "metadata": {**owner["metadata"], "uid": "never-was"}}
            await world.add("ConfigMap", "foundling", owner=stray)
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["bystander"]

    virtual_time.run(scenario())


def test_owner_in_foreground_waits_for_blocking_dependents() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            owner = await world.add("ConfigMap", "owner")
            await world.add("ConfigMap", "slow", owner=owner, metadata={"finalizers": ["example.com/hold"]})
            await world.add("ConfigMap", "quick", owner=owner)
            await asyncio.sleep(1)
            await world.delete(CONFIG_MAPS, "owner", "ns", propagation="Foreground")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["owner", "slow"]
            await world.patch(CONFIG_MAPS, "slow", {"metadata": {"finalizers": None}}, "ns")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == []

    virtual_time.run(scenario())


def test_orphaned_dependents_stay_without_owner() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            owner = await world.add("ConfigMap", "owner")
            await world.add("ConfigMap", "left", owner=owner)
            await asyncio.sleep(1)
            await world.delete(CONFIG_MAPS, "owner", "ns", propagation="Orphan")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["left"]
            assert objects.owner_references(world.all(CONFIG_MAPS)[0]) == []

    virtual_time.run(scenario())


def test_second_owner_keeps_a_dependent_and_the_gone_one_is_unnamed() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            first, second = await world.add("ConfigMap", "first"), await world.add("ConfigMap", "second")
            references = [objects.controller_reference(first), {**objects.controller_reference(second)}]
            references[1]["controller"] = False
            await world.add("ConfigMap", "both", metadata={"ownerReferences": references})
            await asyncio.sleep(1)
            await world.delete(CONFIG_MAPS, "first", "ns", propagation="Foreground")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["second", "both"]
            assert [ref["name"] for ref in objects.owner_references(world.all(CONFIG_MAPS)[1])] == ["second"]

    virtual_time.run(scenario())


def test_ring_of_owners_does_not_block_itself() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            made = [await world.add("ConfigMap", name) for name in ("a", "b", "c")]
            for obj, owner in zip(made, [made[2], made[0], made[1]], strict=True):
                reference = [objects.controller_reference(owner)]
                body = {"metadata": {"ownerReferences": reference}}
                await world.patch(CONFIG_MAPS, objects.name(obj), body, "ns")
            await asyncio.sleep(1)
            await world.delete(CONFIG_MAPS, "a", "ns", propagation="Foreground")
            await asyncio.sleep(10)
            assert world.names(CONFIG_MAPS) == []

    virtual_time.run(scenario())


def test_deployment_goes_with_all_it_made_and_status_writes_cost_the_collector_nothing() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            labels = {"app": "web"}
            spec = {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}},
            }
            await world.add("Deployment", "web", spec=spec)
            await asyncio.sleep(1)
            assert len(world.names(PODS)) == 2
            await world.delete(DEPLOYMENTS, "web", "ns", propagation="Background")
            await asyncio.sleep(2)
            assert world.names(REPLICASETS) == []
            assert world.names(PODS) == []

    virtual_time.run(scenario())


def test_service_shows_its_pods_in_slices_and_endpoints() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            world.pod("a", "10.0.0.1")
            world.pod("b", "10.0.0.2", ready=False)
            world.pod("other", "10.0.0.3", metadata={"labels": {"app": "db"}})
            ports = [{"name": "http", "port": 8080, "targetPort": "web", "protocol": "TCP"}]
            spec = {
                "selector": {"app": "web"},
                "ports": ports,
                "clusterIP": "10.96.0.9",
                "ipFamilies": ["IPv4"],
            }
            await world.add("Service", "web", spec=spec)
            await asyncio.sleep(1)
            (found,) = world.all(SLICES)
            assert found["ports"] == [{"name": "http", "protocol": "TCP", "port": 80}]
            assert [(e["addresses"], e["conditions"]["ready"]) for e in found["endpoints"]] == [
                (["10.0.0.1"], True),
                (["10.0.0.2"], False),
            ]
            assert objects.labels(found)["kubernetes.io/service-name"] == "web"
            (subset,) = world.all(ENDPOINTS)[0]["subsets"]
            assert [a["ip"] for a in subset["addresses"]] == ["10.0.0.1"]
            assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.0.0.2"]
            world.pod("b", "10.0.0.2")
            world.remove(PODS, "ns/a")
            await asyncio.sleep(1)
            (found,) = world.all(SLICES)
            assert [(e["addresses"], e["conditions"]["ready"]) for e in found["endpoints"]] == [
                (["10.0.0.2"], True)
            ]
            world.remove(PODS, "ns/b")
            await asyncio.sleep(1)
            assert world.all(SLICES)[0]["endpoints"] == []
            await world.delete(SERVICES, "web", "ns")
            await asyncio.sleep(1)
            assert world.all(SLICES) == []
            assert world.all(ENDPOINTS) == []

    virtual_time.run(scenario())


def test_an_external_name_has_no_endpoints() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            spec = {"type": "ExternalName", "externalName": "example.com", "selector": {"app": "web"}}
            await world.add("Service", "web", spec=spec)
            await asyncio.sleep(1)
            assert world.all(ENDPOINTS) == []
            assert world.all(SLICES) == []

    virtual_time.run(scenario())


def test_many_endpoints_fill_slices_of_a_hundred() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            for number in range(150):
                world.pod(f"p{number}", f"10.0.1.{number}")
            ports = [{"port": 80, "targetPort": 80}]
            await world.add(
                "Service", "web", spec={"selector": {"app": "web"}, "ports": ports, "clusterIP": "None"}
            )
            await asyncio.sleep(1)
            assert sorted(len(found["endpoints"]) for found in world.all(SLICES)) == [50, 100]
            before = world.all(SLICES)
            world.remove(PODS, "ns/p3")
            world.pod("new", "10.0.2.1")
            await asyncio.sleep(1)
            assert sum(len(found["endpoints"]) for found in world.all(SLICES)) == 150
            assert [objects.name(found) for found in world.all(SLICES)] == [
                objects.name(found) for found in before
            ]
            assert "service.kubernetes.io/headless" in objects.labels(before[0])

    virtual_time.run(scenario())


def test_silent_node_is_unknown_tainted_and_its_pods_evicted_while_another_lives() -> None:
    async def scenario() -> None:
        world = World()
        for name in ("n1", "n2"):
            conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2025-01-01T00:00:00Z"}]
            meta = {"name": name}
            world.put(
                {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"conditions": conditions}}
            )

        def renew(name: str) -> None:
            spec = {"holderIdentity": name, "renewTime": timestamps.format_micro(world.time.time())}
            meta = {"name": name, "namespace": "kube-node-lease"}
            world.put({"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": meta, "spec": spec})

        async with world.running():
            ranges = [objects.spec(node).get("podCIDR") for node in world.all(NODES)]
            assert ranges == ["10.244.0.0/24", "10.244.1.0/24"]
            tolerations = [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ]
            world.pod("a", "10.0.0.1", spec={"tolerations": tolerations})
            world.pod("b", "10.0.0.2")
            for _ in range(12):
                await asyncio.sleep(5)
                renew("n2")
            silent = world.read(NODES, "n1")
            assert silent is not None
            ready = objects.condition(silent, "Ready")
            assert ready is not None
            assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
            assert {(t["key"], t["effect"]) for t in silent["spec"]["taints"]} == {
                ("node.kubernetes.io/unreachable", "NoSchedule"),
                ("node.kubernetes.io/unreachable", "NoExecute"),
            }
            patient, other = world.read(PODS, "ns/a"), world.read(PODS, "ns/b")
            assert patient is not None
            assert other is not None
            assert objects.is_deleting(other)
            assert not objects.is_deleting(patient)
            assert not objects.is_condition_true(patient, "Ready")
            for _ in range(60):
                await asyncio.sleep(5)
                renew("n2")
            patient = world.read(PODS, "ns/a")
            assert patient is not None
            assert objects.is_deleting(patient)
            world.remove(NODES, "n1")
            await asyncio.sleep(90)
            assert world.names(PODS) == []

    virtual_time.run(scenario())


def test_only_node_silent_loses_no_pods() -> None:
    async def scenario() -> None:
        world = World()
        conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2025-01-01T00:00:00Z"}]
        world.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "n1"},
                "status": {"conditions": conditions},
            }
        )
        world.pod("a", "10.0.0.1")
        async with world.running():
            await asyncio.sleep(120)
            node, pod = world.read(NODES, "n1"), world.read(PODS, "ns/a")
            assert node is not None
            assert [t["effect"] for t in node["spec"]["taints"]] == ["NoSchedule"]
            assert pod is not None
            assert not objects.is_deleting(pod)
            told = [each["reason"] for each in world.all(EVENTS) if each["involvedObject"]["kind"] == "Node"]
            assert told == ["RegisteredNode", "NodeNotReady"]

    virtual_time.run(scenario())


def test_idle_cluster_is_left_alone_and_restarts_are_survived() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.add_namespace()
            await asyncio.sleep(5)
            before = len(world.requests)
            await asyncio.sleep(600)
            assert world.requests[before:] == []
            world.disconnect()
            world.compact()
            await world.delete(CONFIG_MAPS, "kube-root-ca.crt", "ns")
            await asyncio.sleep(1)
            assert world.names(CONFIG_MAPS) == ["kube-root-ca.crt"]

    virtual_time.run(scenario())
