"""How a body is refused that is not of the kind that was to be sent. Pure.

Source: staging apiserver pkg/endpoints/handlers/{rest,create}.go (transformDecodeError), apimachinery
pkg/runtime/serializer/json/{meta,json}.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import errors, facts, field, schema, walk
from nanokube.api.resource import Resource
from nanokube.apiserver.endpoints import negotiate
from nanokube.kit.http.message import Request

_SHOWN_BYTES: Final = 30
_HEADER: Final = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SCHEME: Final = 'scheme "pkg/api/legacyscheme/scheme.go:30"'
_META_SCHEME: Final = 'scheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'
_YAML: Final = "error converting YAML to JSON: "
_INTERNAL: Final = {"": "core", "events.k8s.io": "core", "internal.apiserver.k8s.io": "apiserverinternal"}


def refusal(request: Request, wanted: tuple[str, str, str], err: errors.ApiError) -> errors.ApiError | None:
    """Word the refusal of a body by what it says that it is; None: by err, for it says the right kind.

    wanted: group, version and kind.
    """
    if err.code != 400:
        return None
    body, kind = request.body, wanted[2]
    try:
        tree = negotiate.parse(body, request.headers.get("content-type"))
    except errors.ApiError as malformed:
        return _unrecognized(kind, malformed.message.removeprefix(_YAML), body)
    fault = _header_fault(tree)
    if fault:
        return _unrecognized(
            kind, f"{schema.NO_KIND}; json parse error: json: cannot unmarshal {fault}", body
        )
    return _of_another_kind(tree or {}, wanted, body)


def of_custom(tree: Any, resource: Resource, body: bytes) -> errors.ApiError | None:
    """Refuse what does not say that it is of a custom resource's kind: both of kind and version must be said.

    None: it does.
    """
    fault = _header_fault(tree)
    if fault:
        cause = f"{schema.NO_KIND}; json parse error: json: cannot unmarshal {fault}"
        return _unrecognized(resource.kind, cause, body)
    said = (tree or {}).get("kind")
    if not said:
        cause = f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'"
        return _unrecognized(resource.kind, cause, body)
    version = tree.get("apiVersion") or ""
    if version != resource.api_version:
        return errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if said != resource.kind:
        wrong = field.invalid("kind", said, f"must be {resource.kind}")
        return errors.invalid(resource, (tree.get("metadata") or {}).get("name") or "", [wrong], kind=said)
    return None


def check_options(tree: Any, kind: str) -> None:
    """Demand that a body is options of a kind, which every group has. Raises ApiError (400)."""
    fault = _header_fault(tree)
    if fault:
        raise errors.bad_request(f"{schema.NO_KIND}; json parse error: json: cannot unmarshal {fault}")
    said = (tree or {}).get("kind") or kind
    if said != kind:
        version = tree.get("apiVersion") or "meta.k8s.io/v1"
        raise errors.bad_request(f'no kind "{said}" is registered for version "{version}" in {_META_SCHEME}')


def _of_another_kind(
    tree: dict[str, Any], wanted: tuple[str, str, str], body: bytes
) -> errors.ApiError | None:
    group, version, kind = wanted
    said_version, said_kind = str(tree.get("apiVersion") or ""), str(tree.get("kind") or kind)
    if said_version.count("/") > 1:
        return _unrecognized(kind, f"unexpected GroupVersion string: {said_version}", body)
    said_group, _, number = said_version.rpartition("/") if said_version else (group, "", version)
    if (said_group, number, said_kind) == wanted:
        return None
    if facts.name_of(said_group, number, said_kind) is None:
        unknown = f'no kind "{said_kind}" is registered for version "{said_version or number}" in {_SCHEME}'
        return _as(said_kind, number, kind, unknown)
    if (said_group, said_kind) == (group, kind):
        return None
    package = _INTERNAL.get(group) or group.partition(".")[0]
    return _as(
        said_kind,
        number,
        kind,
        f"converting ({number}.{said_kind}) to ({package}.{kind}): unknown conversion",
    )


def _as(said: str, version: str, wanted: str, cause: str) -> errors.ApiError:
    return errors.bad_request(f'{said} in version "{version}" cannot be handled as a {wanted}: {cause}')


def _header_fault(tree: Any) -> str:
    """Say why Go cannot read apiVersion and kind, which it does first."""
    if tree is None:
        return ""
    if type(tree) is not dict:
        return f"{walk.json_name(tree)} into Go value of type {_HEADER}"
    for key in ("apiVersion", "kind"):
        value = tree.get(key)
        if value is not None and type(value) is not str:
            return f"{walk.json_name(value)} into Go struct field .{key} of type string"
    return ""


def _unrecognized(kind: str, cause: str, body: bytes) -> errors.ApiError:
    return errors.bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {cause} ({_summary(body)})"
    )


def _summary(body: bytes) -> str:
    """Show how a body begins: as text if it looks like JSON, in hexadecimal digits if not."""
    if not body:
        return "<empty>"
    began = body[:_SHOWN_BYTES]
    shown = began.decode("utf-8", "replace") if body.startswith(b"{") else began.hex()
    return shown + " ..." if len(body) > _SHOWN_BYTES else shown
