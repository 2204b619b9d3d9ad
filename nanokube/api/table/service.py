"""Columns of Services, Endpoints and EndpointSlices.

Pure. Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.table.columns import (
    AGE,
    NAME,
    NONE,
    Column,
    Columns,
    age,
    first_of,
    join,
    print_labels,
    wide,
)


def _service(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    addresses = spec.get("clusterIPs") or ()
    return [
        objects.name(obj),
        spec.get("type") or "",
        addresses[0] if addresses else NONE,
        _external(obj),
        join(_port(p) for p in spec.get("ports") or ()),
        age(obj, now),
        print_labels(spec.get("selector")),
    ]


def _external(obj: Object) -> str:
    spec = objects.spec(obj)
    external = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return join(external)
        case "LoadBalancer":
            ingress = (objects.status(obj).get("loadBalancer") or {}).get("ingress") or ()
            given = sorted({i.get("ip") or i.get("hostname") or "" for i in ingress})
            return join([*given, *external], "<pending>")
        case "ExternalName":
            return str(spec.get("externalName") or "")
    return "<unknown>"


def _port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol')}"


def _endpoints(obj: Object, now: float) -> list[Any]:
    listed: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [a.get("ip", "") for a in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        listed += (
            (_host_port(ip, p.get("port", 0)) for p in ports for ip in addresses) if ports else addresses
        )
    return [objects.name(obj), first_of(listed, "") if obj.get("subsets") else NONE, age(obj, now)]


def _host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _or_any(name: str | None) -> str:
    return "*" if name is None else name


def _endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = [str(p.get("port") or _or_any(p.get("name"))) for p in obj.get("ports") or ()]
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [
        objects.name(obj),
        obj.get("addressType") or "",
        first_of(ports),
        first_of(addresses),
        age(obj, now),
    ]


SERVICE: Final = Columns(
    (
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        wide("Selector"),
    ),
    _service,
)
ENDPOINTS: Final = Columns((NAME, Column("Endpoints"), AGE), _endpoints)
ENDPOINT_SLICE: Final = Columns(
    (NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), _endpoint_slice
)
