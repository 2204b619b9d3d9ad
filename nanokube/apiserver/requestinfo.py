"""What a request asks for: verb, resource, namespace, name, subresource. Pure.

Source: staging apiserver pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nanokube.api import errors, selectors
from nanokube.kit.http.message import Query, Request

_VERBS: Final[Mapping[str, str]] = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_SUBRESOURCES: Final = frozenset(("status", "finalize"))
# These run something in a Pod: a GET, as upgrades begin, is to be authorized as create, too (k8s#78741).
RUNNING: Final = frozenset(("exec", "attach", "portforward"))
CONNECTING: Final = frozenset(("attach", "exec", "log", "portforward", "proxy"))
_MANY: Final = frozenset(("list", "watch", "deletecollection"))
_APPLY: Final = "application/apply-patch+yaml"
_DURATION: Final = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """is_resource: below /api/<v> or /apis/<g>/<v>; else only verb and path mean anything."""

    is_resource: bool
    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # what follows the subresource in the path (proxy)
    field_selector: str = ""  # as it came, of verbs that are about many objects
    dry_run: str = ""  # All, or invalid
    is_apply: bool = False  # server-side, as which it is counted; else it is a patch


def parse(request: Request) -> RequestInfo:
    """Read a request's path, method and the query parameters watch and fieldSelector."""
    path = request.path
    parts = path.split("/")  # "", "api", …
    if len(parts) >= 4 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) >= 5 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return RequestInfo(False, request.method.lower(), path)
    if rest[-1] == "" and len(rest) <= 4:
        rest = rest[:-1]
    if not rest:
        return RequestInfo(False, request.method.lower(), path)
    verb = ""
    if rest[0] == "watch" and len(rest) > 1:  # long deprecated, and what kubeclient (Ruby) still asks for
        verb, rest = "watch", rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and not (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES):
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    verb = verb or _verb(request, name)
    fields = _field_selector(request) if verb in _MANY else ""
    if not name and fields and verb in ("list", "watch"):
        name = _only_name(fields)
    tail = "/".join(rest[3:]) if len(rest) > 3 else ""
    dry_run = _dry_run(request.query) if "dryRun" in request.query.raw else ""
    is_apply = verb == "patch" and request.headers.get("content-type") == _APPLY
    return RequestInfo(
        True,
        verb,
        path,
        group,
        version,
        resource,
        namespace,
        name,
        subresource,
        tail,
        fields,
        dry_run,
        is_apply,
    )


def _dry_run(query: Query) -> str:
    return "All" if set(query.getall("dryRun")) == {"All"} else "invalid" if "dryRun" in query else ""


def _field_selector(request: Request) -> str:
    return (request.query.get("fieldSelector") or "") if request.query.raw else ""


def _only_name(text: str) -> str:
    """Return the only name that a list or watch can show: roles may allow one object to be watched."""
    try:
        name = selectors.parse_fields(text).exact("metadata.name") or ""
    except ValueError:
        return ""  # refused by the endpoint
    return "" if name in (".", "..") or "/" in name or "%" in name else name


def _verb(request: Request, name: str) -> str:
    verb = _VERBS.get(request.method, "")
    if name:
        return verb
    if verb == "get":
        return "watch" if is_asked(request.query, "watch") else "list"
    return "deletecollection" if verb == "delete" else verb


def check_timeout(info: RequestInfo, text: str) -> None:
    """Demand that the timeout option of a request that does not last is a duration as Go writes it.

    Raises ApiError (400). Source: staging apiserver pkg/endpoints/filters/request_deadline.go.
    """
    if not text or info.verb == "watch" or info.subresource in CONNECTING or _DURATION.fullmatch(text):
        return
    cause = f'invalid timeout specified in the request URL - time: invalid duration "{text}"'
    raise errors.bad_request(cause)


def is_asked(query: Query, name: str) -> bool:
    """Read a boolean query parameter, as Go's conversion does: all but 0 and false is true."""
    return name in query and query.get(name).lower() not in ("0", "false")
