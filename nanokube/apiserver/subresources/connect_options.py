"""What a connection to a Pod, Service or Node asks for, as the object that admission is shown. Pure.

Source: pkg/apis/core/types.go (PodExecOptions and its neighbours), pkg/apis/core/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.resources import Resource
from nanokube.apiserver.requestinfo import is_asked
from nanokube.kit.http.message import Query

_STREAMS: Final = ("stdin", "stdout", "stderr", "tty")


def build(resource: Resource, subresource: str, query: Query, rest: str) -> dict[str, Any] | None:
    """Build PodExecOptions and the like; None for what is no connection (logs). rest: the proxied path."""
    row = resource.subresource(subresource)
    if row is None or not row.kind.endswith("Options"):
        return None
    return {"kind": row.kind, "apiVersion": "v1", **_fields(subresource, query, rest)}


def _fields(subresource: str, query: Query, rest: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    match subresource:
        case "exec" | "attach":
            found = {name: True for name in _STREAMS if is_asked(query, name)}
            if query.get("container"):
                found["container"] = query.get("container")
            if subresource == "exec" and query.getall("command"):
                found["command"] = query.getall("command")
        case "portforward":
            ports = [int(port) for port in query.getall("ports") if port.isascii() and port.isdigit()]
            if ports:
                found["ports"] = ports
        case "proxy":
            if rest:
                found["path"] = "/" + rest
    return found
