"""The Pods behind a Service, and the ports they are reached at. Pure.

Source: staging/src/k8s.io/endpointslice/{utils,reconciler}.go, pkg/controller/endpoint.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.controllers import pods

HEADLESS_LABEL = "service.kubernetes.io/headless"
ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Port:
    """One port as endpoints show it; number is None when the Service has no ports at all."""

    name: str
    protocol: str
    number: int | None
    app_protocol: str = ""

    def body(self) -> dict[str, Any]:
        """Build the EndpointPort."""
        found: dict[str, Any] = {"name": self.name, "protocol": self.protocol, "port": self.number}
        if self.app_protocol:
            found["appProtocol"] = self.app_protocol
        return found


def is_headless(service: Object) -> bool:
    """Tell whether the Service has no address of its own."""
    return objects.spec(service).get("clusterIP") == "None"


def may_serve(pod: Object) -> bool:
    """Tell whether a Pod is an endpoint at all: it has an address and has not ended."""
    return not pods.is_terminal(pod) and bool(addresses(pod))


def addresses(pod: Object) -> list[str]:
    """Give the Pod's addresses."""
    status = objects.status(pod)
    listed = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    return listed or ([status["podIP"]] if status.get("podIP") else [])


def address_of(pod: Object, family: str) -> str:
    """Give the Pod's address of a family ("IPv4", "IPv6"), or ""."""
    wants_colon = family == "IPv6"
    return next((found for found in addresses(pod) if (":" in found) == wants_colon), "")


def conditions(pod: Object, *, publish_not_ready: bool) -> dict[str, bool]:
    """Give ready, serving and terminating of an endpoint."""
    serving, terminating = pods.is_ready(pod), objects.is_deleting(pod)
    return {
        "ready": publish_not_ready or (serving and not terminating),
        "serving": serving,
        "terminating": terminating,
    }


def ports_of(service: Object, pod: Object) -> tuple[Port, ...]:
    """Resolve the Service's ports on a Pod; a named port the Pod lacks is left out."""
    found = []
    for port in objects.spec(service).get("ports") or ():
        number = _target(port, pod)
        if number is not None:
            name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
            found.append(Port(name, protocol, number, port.get("appProtocol") or ""))
    return tuple(sorted(found))


def hostname_of(service: Object, pod: Object) -> str:
    """Give the name under which a Pod of this (governing) Service is known, or ""."""
    spec = objects.spec(pod)
    if spec.get("hostname") and spec.get("subdomain") == objects.name(service):
        return str(spec["hostname"])
    return ""


def target_reference(pod: Object) -> dict[str, Any]:
    """Build the targetRef of an endpoint."""
    return {
        "kind": "Pod",
        "namespace": objects.namespace(pod),
        "name": objects.name(pod),
        "uid": objects.uid(pod),
    }


def services_of(pod: Object, services: Iterable[Object]) -> list[str]:
    """Give the keys of the Services (of the Pod's namespace) that select a Pod."""
    labels = objects.labels(pod).items()
    found = []
    for service in services:
        selector = objects.spec(service).get("selector")
        if selector and selector.items() <= labels:
            found.append(objects.key(service))
    return found


def _target(port: Object, pod: Object) -> int | None:
    wanted = port.get("targetPort") or port["port"]
    if isinstance(wanted, int):
        return wanted
    protocol = port.get("protocol") or "TCP"
    spec = objects.spec(pod)
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for declared in container.get("ports") or ():
            if declared.get("name") == wanted and (declared.get("protocol") or "TCP") == protocol:
                return int(declared["containerPort"])
    return None
