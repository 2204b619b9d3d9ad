"""Where a webhook listens, read from its clientConfig. Pure.

Source: staging apiserver pkg/util/webhook/client.go, pkg/util/proxy/proxy.go.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

Object = Mapping[str, Any]

DEFAULT_PORT: Final = 443
_ROUTED: Final = ("", "ClusterIP", "LoadBalancer", "NodePort")


class CannotReach(Exception):
    """Nothing listens there, or nobody can tell where."""


@dataclass(frozen=True, slots=True)
class Target:
    """url: where to POST. service: (namespace, name, port) if the host names a Service. authority: PEM."""

    url: str
    service: tuple[str, str, int] | None
    authority: str


def read(config: Object) -> Target:
    """Read a clientConfig: of a webhook, or of a conversion. Raises CannotReach."""
    authority = _authority(config.get("caBundle") or "")
    service = config.get("service")
    if service:
        name, namespace = service["name"], service["namespace"]
        port = int(service.get("port") or DEFAULT_PORT)
        path = "/" + str(service.get("path") or "").lstrip("/")
        return Target(f"https://{name}.{namespace}.svc:{port}{path}", (namespace, name, port), authority)
    url = str(config.get("url") or "")
    if not url:
        raise CannotReach("webhook configuration must have either service or URL")
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise CannotReach(f"unparsable URL: {url}")
    return Target(url, None, authority)


def _authority(bundle: str) -> str:
    try:
        return base64.b64decode(bundle, validate=True).decode("ascii")
    except (binascii.Error, ValueError) as err:
        raise CannotReach("unable to load root certificates: unable to parse bytes as PEM block") from err


def endpoints(
    service: Object | None, slices: Sequence[Object], namespace: str, name: str, port: int
) -> list[tuple[str, int]]:
    """List the ready endpoints of a Service's port, in random order. Raises CannotReach.

    Endpoints rather than the cluster IP: a control plane without a node has no service proxy.
    """
    if service is None:
        raise CannotReach(f'services "{name}" not found')
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return [(str(spec.get("externalName") or ""), port)]
    if (spec.get("type") or "") not in _ROUTED:
        raise CannotReach(f'unsupported service type "{spec.get("type")}"')
    wanted = next((p for p in spec.get("ports") or () if p.get("port") == port), None)
    if wanted is None:
        raise CannotReach(f'no service port {port} found for service "{name}"')
    found = list(_ready(slices, wanted.get("name") or ""))
    if not found:
        raise CannotReach(f'no endpoints available for service "{name}"')
    random.shuffle(found)
    return found


def _ready(slices: Iterable[Object], port_name: str) -> Iterable[tuple[str, int]]:
    for one in slices:
        for port in one.get("ports") or ():
            if (port.get("name") or "") != port_name or not port.get("port"):
                continue
            for endpoint in one.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False and endpoint.get("addresses"):
                    yield str(endpoint["addresses"][0]), int(port["port"])


Endpoints = Callable[[str, str, int], list[tuple[str, int]]]
"""(namespace, name, port) of a Service to addresses, best first. Raises CannotReach."""
