"""The AdmissionReview: what is asked, and whether the answer is one. Pure.

Source: staging apiserver pkg/admission/plugin/webhook/{request,errors}.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from nanokube.api import errors
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.matching.subject import Shown

GROUP: Final = "admission.k8s.io"
_VERSIONS: Final = ("v1", "v1beta1")


_RESPONSE: Final[Mapping[str, type]] = {
    "uid": str,
    "allowed": bool,
    "status": dict,
    "patch": str,
    "patchType": str,
    "warnings": list,
    "auditAnnotations": dict,
}
_STATUS: Final[Mapping[str, type]] = {
    "message": str,
    "reason": str,
    "code": int,
    "details": dict,
    "metadata": dict,
}
_DETAILS: Final[Mapping[str, type]] = {
    "name": str,
    "group": str,
    "kind": str,
    "uid": str,
    "causes": list,
    "retryAfterSeconds": int,
}
_CAUSE: Final[Mapping[str, type]] = {"reason": str, "message": str, "field": str}


class Unusable(Exception):
    """The answer is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A good answer. patch: operations, None if there are none. result: a Status, of a refusal."""

    is_allowed: bool
    patch: list[Any] | None
    result: Mapping[str, Any]
    warnings: Sequence[str]
    annotations: Mapping[str, str]


def version_of(supported: Sequence[str]) -> str | None:
    """Choose the version in which to ask: the first that we know."""
    return next((version for version in supported if version in _VERSIONS), None)


def build(version: str, uid: str, request: Mapping[str, Any], shown: Shown) -> bytes:
    """Encode a review. request: what Subject.request gives."""
    return orjson.dumps(
        {
            "kind": "AdmissionReview",
            "apiVersion": f"{GROUP}/{version}",
            "request": {"uid": uid, **request, "object": shown.obj, "oldObject": shown.old},
        }
    )


def judge(version: str, uid: str, body: bytes, *, is_mutating: bool) -> Verdict:
    """Read an answer. Raises Unusable."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise Unusable(f"couldn't get version/kind; json parse error: {err}") from err
    if not isinstance(review, dict):
        raise Unusable("the answer is not an object")
    response = review.get("response")
    if response is None:
        raise Unusable("webhook response was absent")
    try:
        _check_types(response)
        if version == "v1":
            _check_v1(review, response, uid, is_mutating=is_mutating)
        return _verdict(response, is_mutating=is_mutating)
    except (TypeError, ValueError, AttributeError) as err:
        raise Unusable(f"cannot read response: {err}") from err


def _check_types(response: Mapping[str, Any]) -> None:
    _check_fields(response, _RESPONSE)
    status = response.get("status") or {}
    _check_fields(status, _STATUS, "status.")
    details = status.get("details") or {}
    _check_fields(details, _DETAILS, "status.details.")
    for cause in details.get("causes") or ():
        _check_fields(cause, _CAUSE, "status.details.causes.")
    texts = [*(response.get("warnings") or ()), *(response.get("auditAnnotations") or {}).values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a warning or audit annotation is of the wrong type")


def _check_fields(found: Any, kinds: Mapping[str, type], prefix: str = "") -> None:
    for key, kind in kinds.items():
        value = found.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and type(value) is bool)):
            raise ValueError(f"{prefix}{key} is of the wrong type")


def _check_v1(review: Mapping[str, Any], response: Mapping[str, Any], uid: str, *, is_mutating: bool) -> None:
    said = response.get("uid") or ""
    if said != uid:
        raise Unusable(f'expected response.uid="{uid}", got "{said}"')
    api_version, kind = review.get("apiVersion") or "", review.get("kind") or ""
    if (api_version, kind) != (f"{GROUP}/v1", "AdmissionReview"):
        raise Unusable(
            f"expected webhook response of {GROUP}/v1, Kind=AdmissionReview, got {api_version}, Kind={kind}"
        )
    patch, patch_type = response.get("patch"), response.get("patchType")
    if not is_mutating:
        if patch:
            raise Unusable("validating webhook may not return response.patch")
        if patch_type is not None:
            raise Unusable("validating webhook may not return response.patchType")
        return
    if patch and patch_type is None:
        raise Unusable("webhook returned response.patch but not response.patchType")
    if not patch and patch_type is not None:
        raise Unusable("webhook returned response.patchType but not response.patch")
    if patch_type not in (None, "JSONPatch"):
        raise Unusable(
            f'webhook returned invalid response.patchType of "{patch_type}"'
            if not patch_type
            else f'unsupported patch type "{patch_type}"'
        )


def _verdict(response: Mapping[str, Any], *, is_mutating: bool) -> Verdict:
    warnings = response.get("warnings") or ()
    annotations = response.get("auditAnnotations") or {}
    return Verdict(
        bool(response.get("allowed")),
        _patch(response.get("patch") or "") if is_mutating else None,
        response.get("status") or {},
        list(warnings),
        dict(annotations),
    )


def _patch(text: str) -> list[Any] | None:
    if not text:
        return None
    try:
        found = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as err:
        raise Unusable(f"received undecodable patch in webhook response: {err}") from err
    if found is not None and not isinstance(found, list):
        raise Unusable("received undecodable patch in webhook response: it is not an array")
    return found or None


def refusal(name: str, result: Mapping[str, Any]) -> ApiError:
    """Word what a webhook refuses."""
    denied = f'admission webhook "{name}" denied the request'
    found = errors.from_status({k: v for k, v in result.items() if k not in ("code", "metadata")})
    code = result.get("code")
    found.code = code if isinstance(code, int) and 400 <= code < 600 else 400
    if found.message:
        found.message = f"{denied}: {found.message}"
    elif found.reason:
        found.message = f"{denied}: {found.reason}"
    else:
        found.message = f"{denied} without explanation"
    return found
