"""EndpointSlices: where a Service's Pods are.

Source: pkg/controller/endpointslice, staging/src/k8s.io/endpointslice/reconciler.go.
"""

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Never, TypeAlias

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner, store
from nanokube.controllers import service_pods
from nanokube.controllers.env import Env

SLICES = resources.get("endpointslices.discovery.k8s.io")
SERVICES = resources.get("services")
PODS = resources.get("pods")
NODES = resources.get("nodes")

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
SAME_NODE = "PreferSameNode"
NEAR = ("PreferClose", "PreferSameZone", SAME_NODE)  # the first is the second's older name
TOPOLOGY_MODE = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
MOST_ENDPOINTS = 100  # kube-controller-manager's --max-endpoints-per-slice

Group: TypeAlias = tuple[str, tuple[service_pods.Port, ...]]  # (address type, ports)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The slices to write."""

    create: list[dict[str, Any]]
    update: list[dict[str, Any]]
    delete: list[dict[str, Any]]


def plan(
    service: Object,
    pods: Iterable[Object],
    nodes: dict[str, Object],
    slices: Sequence[dict[str, Any]],
) -> Plan:
    """Decide which slices bring the Service's endpoints up to date with the fewest writes. Pure.

    Endpoints with the same ports share slices of at most MOST_ENDPOINTS. One that is in a slice stays in it;
    new ones fill the slices that are written anyway, then those with room, then new slices.
    """
    wanted = _wanted(service, pods, nodes)
    by_group: dict[Group, list[dict[str, Any]]] = {}
    for existing in slices:
        by_group.setdefault(_group(existing), []).append(existing)
    for family in _families(service):
        if not any(group[0] == family for group in wanted):
            # A Service without endpoints keeps one empty slice: watchers see that it was looked at.
            wanted[family, ()] = {}
    result = Plan([], [], [])
    for group, endpoints in wanted.items():
        _plan_group(service, group, endpoints, by_group.pop(group, []), result)
    for leftover in by_group.values():
        result.delete.extend(leftover)
    return result


def _plan_group(
    service: Object,
    group: Group,
    endpoints: dict[str, dict[str, Any]],
    slices: Sequence[dict[str, Any]],
    result: Plan,
) -> None:
    missing = dict(endpoints)
    kept: list[list[dict[str, Any]]] = []
    for existing in slices:
        found = [
            missing.pop(_identity(e)) for e in existing.get("endpoints") or () if _identity(e) in missing
        ]
        kept.append(found)
    # Fill up those that change anyway first.
    changing = [found != (s.get("endpoints") or []) for found, s in zip(kept, slices, strict=True)]
    for index in sorted(range(len(slices)), key=lambda index: not changing[index]):
        while missing and len(kept[index]) < MOST_ENDPOINTS:
            kept[index].append(missing.pop(next(iter(missing))))
    rest = list(missing.values())
    fresh = [rest[at : at + MOST_ENDPOINTS] for at in range(0, len(rest), MOST_ENDPOINTS)]
    if not slices and not fresh:
        fresh = [[]]
    result.create.extend(_slice(service, group, found) for found in fresh)
    remaining = any(kept) or fresh
    for number, (existing, found) in enumerate(zip(slices, kept, strict=True)):
        if not found and (remaining or number > 0):
            result.delete.append(existing)
            continue
        body = _slice(service, group, found, existing)
        if body != existing:
            result.update.append(body)


def _wanted(
    service: Object, pods: Iterable[Object], nodes: dict[str, Object]
) -> dict[Group, dict[str, dict[str, Any]]]:
    """Find the endpoints that a Service should have, by what a slice has in common: family and ports."""
    groups: dict[Group, dict[str, dict[str, Any]]] = {}
    publish = bool(objects.spec(service).get("publishNotReadyAddresses"))
    for pod in pods:
        if not service_pods.may_serve(pod):
            continue
        ports = service_pods.ports_of(service, pod)
        for family in _families(service):
            if address := service_pods.address_of(pod, family):
                endpoint = _endpoint(service, pod, address, nodes, publish_not_ready=publish)
                groups.setdefault((family, ports), {})[_identity(endpoint)] = endpoint
    return groups


def _endpoint(
    service: Object, pod: Object, address: str, nodes: dict[str, Object], *, publish_not_ready: bool
) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "addresses": [address],
        "conditions": service_pods.conditions(pod, publish_not_ready=publish_not_ready),
        "targetRef": service_pods.target_reference(pod),
    }
    if hostname := service_pods.hostname_of(service, pod):
        endpoint["hostname"] = hostname
    node_name = objects.spec(pod).get("nodeName")
    if node_name:
        endpoint["nodeName"] = node_name
        zone = objects.labels(nodes.get(node_name, {})).get(service_pods.ZONE_LABEL)
        if zone:
            endpoint["zone"] = zone
    if endpoint["conditions"]["ready"] and (hints := _hints(service, endpoint)):
        endpoint["hints"] = hints
    return endpoint


def _hints(service: Object, endpoint: Object) -> dict[str, Any]:
    """Say for whom a ready endpoint is best, as the Service's trafficDistribution asks.

    An older annotation, which asks for shares by zone, is stronger; those shares are not computed.
    Source: staging/src/k8s.io/endpointslice/trafficdist.
    """
    asked = objects.spec(service).get("trafficDistribution")
    if asked not in NEAR or any(
        objects.annotations(service).get(each) in ("auto", "Auto") for each in TOPOLOGY_MODE
    ):
        return {}
    hints: dict[str, Any] = {}
    if endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if endpoint.get("nodeName") and asked == SAME_NODE:
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def _slice(
    service: Object, group: Group, endpoints: list[dict[str, Any]], existing: Object | None = None
) -> dict[str, Any]:
    """Make a slice with these endpoints, or the existing one as it is to be."""
    family, ports = group
    name = objects.name(service)
    labels = {**objects.labels(service), SERVICE_NAME: name, MANAGED_BY: MANAGER}
    labels.pop(service_pods.HEADLESS_LABEL, None)
    if service_pods.is_headless(service):
        labels[service_pods.HEADLESS_LABEL] = ""
    if existing is not None:
        body = {**existing, "metadata": {**objects.metadata(existing), "labels": labels}}
    else:
        meta = {
            "generateName": f"{name[:57]}-",
            "namespace": objects.namespace(service),
            "labels": labels,
            "ownerReferences": [objects.controller_reference(service)],
        }
        body = {
            "apiVersion": SLICES.api_version,
            "kind": SLICES.kind,
            "metadata": meta,
            "addressType": family,
        }
    listed: dict[str, Any] = {"endpoints": endpoints, "ports": [port.body() for port in ports]}
    for field, value in listed.items():
        if value:
            body[field] = value
        elif existing is None or existing.get(field):
            body[field] = []
    return body


def _families(service: Object) -> list[str]:
    return list(objects.spec(service).get("ipFamilies") or ("IPv4",))


def _group(existing: Object) -> Group:
    ports = (
        service_pods.Port(
            port.get("name") or "",
            port.get("protocol") or "TCP",
            port.get("port"),
            port.get("appProtocol") or "",
        )
        for port in existing.get("ports") or ()
    )
    return existing["addressType"], tuple(sorted(ports))


def _identity(endpoint: Object) -> str:
    reference = endpoint.get("targetRef") or {}
    return f"{reference.get('uid', '')} {endpoint['addresses'][0]}"


class EndpointSliceController:
    """Keeps the slices of every Service with a selector."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._services = env.informers.of(SERVICES)
        self._pods = env.informers.of(PODS)
        self._nodes = env.informers.of(NODES)
        self._slices = env.informers.of(SLICES)
        for source in (self._services, self._pods):
            source.add_index("namespace", store.by_namespace)
        self._slices.add_index("service", service_of)
        self._written: dict[str, set[str]] = {}
        self.runner = runner.Runner("endpointslice", self.reconcile)
        self.runner.watches(self._services)
        self.runner.watches(self._pods, self._services_of)
        self.runner.watches(self._slices, service_of)
        self.runner.reads(self._nodes)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one Service's slices up to date."""
        service = self._services.get(key)
        if service is None or objects.is_deleting(service):
            self._written.pop(key, None)
            return None  # the garbage collector takes the slices
        selector = objects.spec(service).get("selector")
        if not selector or objects.spec(service).get("type") == "ExternalName":
            return None
        slices = [
            s for s in self._slices.by_index("service", key) if objects.labels(s).get(MANAGED_BY) == MANAGER
        ]
        if not self._has_seen_own_writes(key, slices):
            return None  # their events will requeue the Service
        in_namespace = self._pods.by_index("namespace", objects.namespace(service))
        chosen = [pod for pod in in_namespace if selector.items() <= objects.labels(pod).items()]
        nodes: dict[str, Object] = {objects.name(node): node for node in self._nodes.list()}
        todo = plan(service, chosen, nodes, slices)
        await self._write(key, todo)
        return None

    async def _write(self, key: str, todo: Plan) -> None:
        client = self._env.client
        stamp = timestamps.format_micro(self._env.clock.time())
        created = await asyncio.gather(
            *(client.create(SLICES, _stamped(body, stamp)) for body in todo.create)
        )
        self._written[key] = {objects.key(found) for found in created}
        await asyncio.gather(*(client.update(SLICES, _stamped(body, stamp)) for body in todo.update))
        for gone in todo.delete:
            try:
                await client.delete(SLICES, objects.name(gone), objects.namespace(gone))
            except errors.ApiError as err:
                if err.code != 404:
                    raise

    def _has_seen_own_writes(self, key: str, slices: Sequence[Object]) -> bool:
        """Tell whether the cache shows the slices just created; without them they would be made again."""
        awaited = self._written.get(key, set()) - {objects.key(found) for found in slices}
        # One that was deleted by someone else never comes: its deletion requeues, and it is asked for once.
        self._written[key] = set()
        return not awaited

    def _services_of(self, pod: Object) -> list[str]:
        services = self._services.by_index("namespace", objects.namespace(pod))
        return service_pods.services_of(pod, services)


def service_of(existing: Object) -> list[str]:
    """Index function: the key of the Service a slice belongs to."""
    name = objects.labels(existing).get(SERVICE_NAME)
    return [objects.join_key(objects.namespace(existing), name)] if name else []


def _stamped(body: dict[str, Any], stamp: str) -> dict[str, Any]:
    meta = body["metadata"]
    annotations = {**(meta.get("annotations") or {}), TRIGGERED: stamp}
    return {**body, "metadata": {**meta, "annotations": annotations}}
