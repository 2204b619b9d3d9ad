"""What policies ask of a Pod: labels, addresses, named ports. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object

_ENDED = ("Succeeded", "Failed")


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """A Pod. It is connected if it has a network of its own, not its host's, and has not ended.

    ips: none before the API knows them. ports: (protocol, name) -> number, as containers declare them.
    """

    key: str
    uid: str
    namespace: str
    node: str
    is_connected: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    ips: tuple[str, ...] = ()
    ports: tuple[tuple[tuple[str, str], int], ...] = ()

    def port(self, protocol: str, name: str) -> int | None:
        """Return the port that containers call so."""
        return next((number for key, number in self.ports if key == (protocol, name)), None)


def read(pod: Object) -> Pod:
    """Read a Pod, trimmed or not."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    is_connected = not spec.get("hostNetwork") and status.get("phase") not in _ENDED
    ips = [each.get("ip") for each in status.get("podIPs") or ()] if is_connected else []
    return Pod(
        key=objects.key(pod),
        uid=objects.uid(pod),
        namespace=objects.namespace(pod),
        node=spec.get("nodeName") or "",
        is_connected=is_connected,
        labels=tuple(sorted(objects.labels(pod).items())),
        ips=tuple(each for each in ips if each),
        ports=tuple(_named_ports(spec)),
    )


def _named_ports(spec: Object) -> Iterable[tuple[tuple[str, str], int]]:
    for container in _serving(spec):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield ((port.get("protocol") or "TCP").lower(), port["name"]), port["containerPort"]


def _serving(spec: Object) -> Iterable[Object]:
    """Give the containers that are there for good; of init containers those that go on beside the rest."""
    yield from (each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always")
    yield from spec.get("containers") or ()


def trim(pod: dict[str, Any]) -> dict[str, Any]:
    """Keep of a Pod what `read` needs: an agent holds all Pods of the cluster."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    kept = {key: spec[key] for key in ("nodeName", "hostNetwork") if key in spec}
    kept["containers"] = [{"ports": each["ports"]} for each in _serving(spec) if each.get("ports")]
    of_status = {key: status[key] for key in ("phase", "podIPs") if key in status}
    return {**trim_metadata(pod), "spec": kept, "status": of_status}


def trim_metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Keep name, identity and labels alone: all that counts of a Namespace."""
    wanted = ("name", "namespace", "uid", "resourceVersion", "labels")
    metadata = objects.metadata(obj)
    return {"metadata": {key: metadata[key] for key in wanted if key in metadata}}
