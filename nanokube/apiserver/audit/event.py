"""Events of audit.k8s.io/v1, as trees and as lines. Pure.

Source: staging apiserver pkg/apis/audit/v1/types.go, pkg/audit/{request,format}.go, pkg/endpoints/filters.
"""

from __future__ import annotations

import functools
import ipaddress
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from isal import igzip

from nanokube.api import errors
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.endpoints import negotiate
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.http.message import Headers, Request, Response

MAX_USER_AGENT: Final = 1024
TRUNCATED: Final = "audit.k8s.io/truncated"
_TYPE: Final = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
_STATUS_FIELDS: Final = ("status", "message", "reason", "details")
_JSON_BODIES: Final = (negotiate.JSON, negotiate.YAML, negotiate.PROTOBUF, negotiate.CBOR)


def about(request: Request, info: RequestInfo, user: User | None) -> dict[str, Any]:
    """Build what every event of a request says."""
    found: dict[str, Any] = {
        "requestURI": request.target,
        "verb": info.verb,
        "user": {} if user is None else user_info(user),
        "sourceIPs": source_ips(request.headers, request.peer.host),
    }
    agent = request.headers.get("user-agent")
    if agent:
        found["userAgent"] = (
            agent if len(agent) <= MAX_USER_AGENT else agent[:MAX_USER_AGENT] + "...TRUNCATED"
        )
    if info.is_resource:
        found["objectRef"] = {
            key: value
            for key, value in (
                ("resource", info.resource),
                ("namespace", info.namespace),
                ("name", info.name),
                ("apiGroup", info.group),
                ("apiVersion", info.version),
                ("subresource", info.subresource),
            )
            if value
        }
    return found


@functools.lru_cache(maxsize=1024)
def user_info(user: User) -> dict[str, object]:
    """Build the UserInfo of an event; it is shared."""
    return {key: value for key, value in user.to_object().items() if value}


def source_ips(headers: Headers, peer: str) -> list[str]:
    """List whom a request came from: what proxies say, then who is connected.

    Source: apimachinery pkg/util/net/http.go, SourceIPs.
    """
    found = []
    if headers.get("x-forwarded-for"):
        found = [ip for part in headers.get("x-forwarded-for").split(",") if (ip := _ip(part))]
    real = _ip(headers.get("x-real-ip"))
    if real and real not in found:
        found.append(real)
    remote = _ip(peer)
    if remote and (not found or found[-1] != remote):
        found.append(remote)
    return found


@functools.lru_cache(maxsize=1024)
def _ip(text: str) -> str:
    if not text:
        return ""
    try:
        found = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def status_of(answer: Response) -> dict[str, Any]:
    """Build the responseStatus of an answer: of a Status what it says, else only the code."""
    found: dict[str, Any] = {"metadata": {}}
    if answer.content_type == negotiate.JSON and (answer.status >= 400 or _starts_as_status(answer)):
        tree = _tree(answer)
        if isinstance(tree, dict) and tree.get("kind") == "Status":
            found |= {key: tree[key] for key in _STATUS_FIELDS if tree.get(key)}
    found["code"] = answer.status
    return found


def _starts_as_status(answer: Response) -> bool:
    first = answer.body[:32] if isinstance(answer.body, bytes) else bytes(next(iter(answer.parts), b"")[:32])
    return first.startswith(b'{"kind":"Status"')


def is_status(answer: Response) -> bool:
    """Tell whether an answer is a Status, and no object."""
    return answer.content_type == negotiate.JSON and _starts_as_status(answer)


def response_object(answer: Response, *, omits_managed_fields: bool) -> Any:
    """Give the object of an answer as JSON; None if it has none."""
    media = answer.content_type.partition(";")[0]
    if media not in _JSON_BODIES:
        return None
    if media == negotiate.JSON and not omits_managed_fields:
        data = _bytes(answer).strip()
        if data and b"\n" not in data:  # as it is; what is pretty has more lines than the log may
            return orjson.Fragment(data)
    tree = _tree(answer)
    return without_managed_fields(tree) if omits_managed_fields else tree


def request_object(request: Request, *, is_patch: bool) -> Any:
    """Give the object of a request; None if it has none that can be read."""
    media = request.headers.get("content-type")
    if is_patch:
        suffix = media.partition(";")[0].strip().rpartition("+")[2]
        media = {"yaml": negotiate.YAML, "cbor": negotiate.CBOR}.get(suffix, negotiate.JSON)
    try:
        return negotiate.parse(request.body, media)
    except (errors.ApiError, ValueError, KeyError, RecursionError):
        return None


def _tree(answer: Response) -> Any:
    try:
        return negotiate.parse(_bytes(answer), answer.content_type)
    except (errors.ApiError, ValueError, KeyError):
        return None


def _bytes(answer: Response) -> bytes:
    data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.parts)
    if any(name.lower() == "content-encoding" and value == "gzip" for name, value in answer.headers):
        return bytes(igzip.decompress(data))  # type: ignore[no-untyped-call]
    return data


def without_managed_fields(tree: Any) -> Any:
    """Copy an object, a list, or a Table without managedFields; anything else is returned as it is."""
    if not isinstance(tree, dict):
        return tree
    found = _unmanaged(tree)
    if isinstance(found.get("items"), list):
        found["items"] = [_unmanaged(each) for each in found["items"]]
    if found.get("kind") == "Table" and isinstance(found.get("rows"), list):
        found["rows"] = [
            {**row, "object": _unmanaged(row["object"])} if isinstance(row, dict) and "object" in row else row
            for row in found["rows"]
        ]
    return found


def _unmanaged(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    metadata = tree.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return dict(tree)
    return {**tree, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def micro_time(seconds: float) -> str:
    """Write a time as MicroTime.

    >>> micro_time(1750000000.25)
    '2025-06-15T15:06:40.250000Z'
    """
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1e6):06d}Z"


@functools.lru_cache(maxsize=8)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def encode(event: Mapping[str, Any]) -> bytes:
    """Encode an event as an item of an EventList, which has no kind."""
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS)


def truncated(event: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the bodies out of an event, and say so."""
    kept = {key: value for key, value in event.items() if key not in ("requestObject", "responseObject")}
    return {**kept, "annotations": {**event.get("annotations", {}), TRUNCATED: "true"}}


def line(encoded: bytes) -> bytes:
    """Make the line of a log out of what encode() made."""
    return _TYPE + encoded[1:] + b"\n"


def event_list(items: list[bytes]) -> bytes:
    """Make the body of a POST out of what encode() made."""
    head = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
    return head + b",".join(items) + b"]}"


def legacy_line(event: Mapping[str, Any]) -> bytes:
    """Make the line of a log in the format "legacy"."""
    user, other = event["user"], event.get("impersonatedUser")
    fields = (
        ("id", event["auditID"]),
        ("stage", event["stage"]),
        ("ip", next(iter(event.get("sourceIPs") or ()), "<unknown>")),
        ("method", event["verb"]),
        ("user", user.get("username", "<none>")),
        ("groups", _quoted(user.get("groups")) or "<none>"),
        ("as", other["username"] if other else "<self>"),
        ("asgroups", (_quoted(other.get("groups")) if other else "") or "<lookup>"),
        ("user-agent", event.get("userAgent", "")),
        ("namespace", event.get("objectRef", {}).get("namespace", "<none>")),
        ("uri", event["requestURI"]),
        ("response", str(event.get("responseStatus", {}).get("code", "<deferred>"))),
    )
    said = " ".join(f"{name}={orjson.dumps(value).decode()}" for name, value in fields)
    return f"{event['requestReceivedTimestamp']} AUDIT: {said}\n".encode()


def _quoted(texts: Any) -> str:
    return ",".join(f'"{text}"' for text in texts or ())
