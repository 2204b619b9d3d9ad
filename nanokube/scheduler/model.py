"""Pods and nodes as the scheduler sees them: parsed once, added up. Pure."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.scheduler import requests
from nanokube.scheduler.requests import Amounts
from nanokube.scheduler.storage import Storage

Port: TypeAlias = tuple[str, str, int]  # (protocol, host address, port)

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


@dataclasses.dataclass(slots=True, eq=False)
class PodInfo:
    """A Pod with what the plugins ask of it."""

    key: str
    uid: str
    namespace: str
    labels: Mapping[str, str]
    spec: Object
    priority: int
    requests: Amounts
    assumed_requests: Amounts
    ports: frozenset[Port]
    owner_uid: str
    is_deleting: bool
    obj: dict[str, Any]

    @property
    def affinity(self) -> Object:
        return self.spec.get("affinity") or {}

    @property
    def has_anti_affinity(self) -> bool:
        rules = self.affinity.get("podAntiAffinity") or {}
        return bool(rules.get("requiredDuringSchedulingIgnoredDuringExecution"))

    @property
    def is_gated(self) -> bool:
        return bool(self.spec.get("schedulingGates"))


def pod_info(pod: dict[str, Any]) -> PodInfo:
    """Parse a Pod. Raises ValueError on a malformed quantity."""
    spec = objects.spec(pod)
    controller = objects.controller_of(pod)
    return PodInfo(
        key=objects.key(pod),
        uid=objects.uid(pod),
        namespace=objects.namespace(pod),
        labels=objects.labels(pod),
        spec=spec,
        priority=int(spec.get("priority") or 0),
        requests=requests.of_pod(pod),
        assumed_requests=requests.of_pod(pod, assume=True),
        ports=frozenset(_ports(spec)),
        owner_uid=controller["uid"] if controller is not None else "",
        is_deleting=objects.is_deleting(pod),
        obj=pod,
    )


class NodeInfo:
    """A node and the Pods on it, with their sums kept up to date."""

    def __init__(self, node: dict[str, Any]) -> None:
        self.pods: dict[str, PodInfo] = {}
        self.requested: Amounts = {}
        self.assumed: Amounts = {}
        self.ports: dict[Port, int] = {}
        self.anti_affine: dict[str, PodInfo] = {}
        self.set_node(node)

    def set_node(self, node: dict[str, Any]) -> None:
        """Take a new state of the Node object."""
        self.node = node
        self.name = objects.name(node)
        self.labels = objects.labels(node)
        self.taints: list[Object] = objects.spec(node).get("taints") or []
        self.is_unschedulable = bool(objects.spec(node).get("unschedulable"))
        self.allocatable = requests.parse(objects.status(node).get("allocatable"))
        self.images = {
            name: int(image.get("sizeBytes") or 0)
            for image in objects.status(node).get("images") or ()
            for name in image.get("names") or ()
        }

    def add(self, pod: PodInfo) -> None:
        """Count a Pod in."""
        self.pods[pod.uid] = pod
        if pod.has_anti_affinity:
            self.anti_affine[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> None:
        """Count a Pod out, if it is counted."""
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self.anti_affine.pop(uid, None)
            self._count(pod, -1)

    def copy(self) -> "NodeInfo":
        """Copy, for thinking Pods away or in; the Pods themselves are shared."""
        twin = NodeInfo.__new__(NodeInfo)
        twin.__dict__.update(self.__dict__)
        twin.pods, twin.anti_affine = dict(self.pods), dict(self.anti_affine)
        twin.requested, twin.assumed = dict(self.requested), dict(self.assumed)
        twin.ports = dict(self.ports)
        return twin

    def _count(self, pod: PodInfo, sign: int) -> None:
        for total, asked in ((self.requested, pod.requests), (self.assumed, pod.assumed_requests)):
            for name, amount in asked.items():
                total[name] = total.get(name, 0) + sign * amount
        for port in pod.ports:
            count = self.ports.get(port, 0) + sign
            if count:
                self.ports[port] = count
            else:
                self.ports.pop(port, None)


@dataclasses.dataclass(slots=True)
class Cluster:
    """What one decision may look at. namespaces: the labels of each; services: the selectors of each."""

    nodes: list[NodeInfo]
    namespaces: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    has_anti_affinity: bool = True
    services: Mapping[str, Mapping[str, Mapping[str, str]]] = dataclasses.field(default_factory=dict)
    storage: Storage = dataclasses.field(default_factory=Storage)


def _ports(spec: Object) -> Iterator[Port]:
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            if field == "initContainers" and container.get("restartPolicy") != "Always":
                continue
            for port in container.get("ports") or ():
                if number := port.get("hostPort"):
                    yield port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", int(number)
