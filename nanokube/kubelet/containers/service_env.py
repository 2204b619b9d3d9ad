"""Environment variables that name the Services of a namespace, as Docker links did. Pure.

Source: pkg/kubelet/envvars/envvars.go.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nanokube.kit import addresses

Object = Mapping[str, Any]

MASTER = ("default", "kubernetes")  # injected into every Pod, whatever enableServiceLinks says


def for_pod(pod: Object, services: Iterable[Object]) -> dict[str, str]:
    """Return the variables for the Services a Pod may see. Sorted by name, so that the result is stable."""
    namespace = pod["metadata"]["namespace"]
    links = pod["spec"].get("enableServiceLinks") is not False
    chosen: dict[str, Object] = {}
    for service in services:
        meta = service["metadata"]
        if not _has_cluster_ip(service):
            continue
        if (meta["namespace"], meta["name"]) == MASTER:
            chosen.setdefault(meta["name"], service)
        elif links and meta["namespace"] == namespace:
            chosen[meta["name"]] = service
    variables: dict[str, str] = {}
    for name in sorted(chosen):
        variables.update(for_service(chosen[name]))
    return variables


def _has_cluster_ip(service: Object) -> bool:
    return (service["spec"].get("clusterIP") or "None") != "None"


def for_service(service: Object) -> dict[str, str]:
    """Return the variables of one Service."""
    spec = service["spec"]
    ip, ports = spec["clusterIP"], spec.get("ports") or []
    if not ports:
        return {}
    host = addresses.bracketed(ip)
    prefix = _name(service["metadata"]["name"])
    found = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            found[f"{prefix}_SERVICE_PORT_{_name(port['name'])}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            found[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        found |= {
            link: url,
            f"{link}_PROTO": protocol.lower(),
            f"{link}_PORT": str(port["port"]),
            f"{link}_ADDR": ip,
        }
    return found


def _name(text: str) -> str:
    return text.replace("-", "_").upper()
