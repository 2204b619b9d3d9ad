"""Where a proxied request goes and what may go with it. Pure.

Source: apimachinery pkg/util/net/port_split.go, pkg/util/proxy; pkg/registry/core/service/storage/storage.go.
"""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from nanokube.api import errors
from nanokube.apiserver.subresources import location
from nanokube.apiserver.subresources.location import Address

Object = Mapping[str, Any]
Fields = Sequence[tuple[str, str]]

# RFC 9110 7.6.1, and what carries the client's credentials for us.
_KEPT_BACK = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "content-length", "host", "authorization", "expect",
        "http2-settings",
    )
)  # fmt: skip
_IDENTITY_PREFIXES = ("impersonate-", "x-remote-")
# What a Pod permits other origins is not what the API server permits them.
_CROSS_ORIGIN = frozenset(
    f"access-control-allow-{what}" for what in ("credentials", "headers", "methods", "origin")
)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A name in a path, taken apart."""

    scheme: str
    name: str
    port: str


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One server."""

    address: Address
    is_tls: bool


def split(text: str) -> Wanted:
    """Take [scheme:]name[:port] apart; an empty scheme means http. Raises ApiError."""
    parts = text.split(":")
    if len(parts) == 1:
        return Wanted("", parts[0], "")
    if len(parts) == 2:
        return Wanted("", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return Wanted(parts[0], parts[1], parts[2])
    raise errors.bad_request(f'invalid proxy request "{text}"')


def of_pod(pod: Object, wanted: Wanted) -> Target:
    """Return the port asked for, or the Pod's first, at the Pod's address. Raises ApiError."""
    address = str((pod.get("status") or {}).get("podIP") or "")
    _require_pod_address(address)
    port = wanted.port
    if not port:
        ports = (
            entry["containerPort"]
            for container in pod["spec"].get("containers") or ()
            for entry in container.get("ports") or ()
        )
        port = str(next(ports, 443 if wanted.scheme == "https" else 80))
    return Target(Address(address, _port(port)), wanted.scheme == "https")


def of_service(service: Object, slices: Sequence[Object], wanted: Wanted) -> list[Target]:
    """Return the ready endpoints of the Service port asked for, or of its only one. Raises ApiError."""
    names = _service_port_names(service, wanted)
    return [
        Target(Address(endpoint["addresses"][0], port["port"]), wanted.scheme == "https")
        for one in slices
        if one.get("addressType", "IPv4") in ("IPv4", "IPv6")
        for port in one.get("ports") or ()
        if (port.get("name") or "") in names and port.get("port")
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        and _is_pod_address(endpoint["addresses"][0])
    ]


def _service_port_names(service: Object, wanted: Wanted) -> set[str]:
    ports: Sequence[Object] = service["spec"].get("ports") or ()
    if not wanted.port:
        return {ports[0].get("name") or ""} if len(ports) == 1 else {""}
    for port in ports:
        if wanted.port in (port.get("name"), str(port.get("port"))):
            return {port.get("name") or ""}
    raise errors.service_unavailable(f'no service port "{wanted.port}" found for service "{wanted.name}"')


def of_node(node: Object, wanted: Wanted) -> tuple[Target, bool]:
    """Return the Node's kubelet, or another port; and whether it is the kubelet. Raises ApiError."""
    kubelet = location.kubelet(node)
    if not wanted.port or wanted.port == str(kubelet.port):
        return Target(kubelet, True), True
    _require_pod_address(kubelet.host)  # else this API server would speak to itself for others
    return Target(Address(kubelet.host, _port(wanted.port)), wanted.scheme == "https"), False


def path(method: str, raw_path: str, rest: str) -> str | None:
    """Return the path to ask for; None if the client must come again with a slash at the end."""
    if not rest and not raw_path.endswith("/") and method in ("GET", "HEAD"):
        return None  # else what is relative on the page would miss the proxy; other methods give no page
    return "/" + quote(rest, safe="/:@!$&'()*+,;=~-._")


def with_slash(target: str) -> str:
    """Add a slash to the path of a target."""
    raw_path, mark, query = target.partition("?")
    return raw_path + "/" + mark + query


def prefix(raw_path: str, proxied: str) -> str:
    """Return what stands before the proxied path in the client's own path."""
    if proxied == "/":
        return raw_path.removesuffix("/")
    return (
        raw_path.removesuffix(proxied)
        if raw_path.endswith(proxied)
        else raw_path.partition("/proxy/")[0] + "/proxy"
    )


def request_fields(fields: Fields, client: str) -> list[tuple[str, str]]:
    """Return the fields to send on: not those of this hop, not the client's credentials."""
    kept = [
        (name, value)
        for name, value in fields
        if name not in _KEPT_BACK and name != "x-forwarded-for" and not name.startswith(_IDENTITY_PREFIXES)
    ]
    chain = [value for name, value in fields if name == "x-forwarded-for"] + ([client] if client else [])
    return [*kept, ("X-Forwarded-For", ", ".join(chain))] if chain else kept


def answer_fields(fields: Fields, address: Address, before: str) -> list[tuple[str, str]]:
    """Return the fields to hand back; a Location on the same server is led back through the proxy."""
    kept = [
        (name, value)
        for name, value in fields
        if name not in _KEPT_BACK and name not in _CROSS_ORIGIN and name != "content-type"
    ]
    return [(name, relocate(value, address, before) if name == "location" else value) for name, value in kept]


def relocate(url: str, address: Address, before: str) -> str:
    """Lead a URL with an absolute path on the same server back through the proxy; leave others alone."""
    try:
        parts = urlsplit(url)
        is_elsewhere = bool(parts.netloc) and parts.hostname != address.host
    except ValueError:
        return url
    if is_elsewhere or not parts.path.startswith("/"):
        return url
    led = parts.path if f"{parts.path}/".startswith(f"{before}/") else before + parts.path
    return led + ("?" + parts.query if parts.query else "") + ("#" + parts.fragment if parts.fragment else "")


def _require_pod_address(text: str) -> None:
    if not _is_pod_address(text):
        raise errors.bad_request("address not allowed")


def _is_pod_address(text: str) -> bool:
    """Deny what only this host, its link or a group answers to (CVE-2020-8562)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (
        address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 65535):
        raise errors.bad_request(f'invalid port "{text}"')
    return int(text)
