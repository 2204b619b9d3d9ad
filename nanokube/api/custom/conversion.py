"""Custom resources from one version to another: by name only, or by a webhook's answer. Pure.

A webhook may change all but the identity of an object; of its metadata, only labels and annotations count.
Source: apiextensions-apiserver/pkg/apiserver/conversion/{nop_converter,webhook_converter}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.objects import Object
from nanokube.api.validation import metadata

GROUP: Final = "apiextensions.k8s.io"
_VERSIONS: Final = ("v1", "v1beta1")
_KIND: Final = "ConversionReview"


class BadAnswer(ValueError):
    """An answer of a conversion webhook that cannot be used; the message says why."""


def rename(obj: Object, api_version: str) -> dict[str, Any]:
    """Convert by strategy None: the same object under another apiVersion."""
    return {**obj, "apiVersion": api_version}


def review(webhook: Object, objs: Sequence[Object], api_version: str, uid: str) -> dict[str, Any]:
    """Build the ConversionReview of objects in other versions. webhook: `spec.conversion.webhook`.

    Raises BadAnswer if the webhook reads no version of the review that there is.
    """
    offered = webhook.get("conversionReviewVersions") or ()
    version = next((v for v in offered if v in _VERSIONS), None)
    if version is None:
        raise BadAnswer("no supported conversion review versions")
    return {
        "kind": _KIND,
        "apiVersion": f"{GROUP}/{version}",
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objs)},
    }


def judge(asked: Object, answer: Any) -> list[dict[str, Any]]:
    """Return the converted objects of an answer, each with its original metadata. Raises BadAnswer."""
    request = asked["request"]
    converted = _converted(asked, answer, request["uid"])
    originals: list[dict[str, Any]] = request["objects"]
    if len(converted) != len(originals):
        raise BadAnswer(f"returned {len(converted)} objects, expected {len(originals)}")
    found = []
    for index, (original, obj) in enumerate(zip(originals, converted, strict=True)):
        try:
            found.append(_judge_object(original, obj, request["desiredAPIVersion"]))
        except BadAnswer as error:
            raise BadAnswer(f"returned invalid converted object at index {index}: {error}") from error
    return found


def _converted(asked: Object, answer: Any, uid: str) -> list[Any]:
    if type(answer) is not dict:
        raise BadAnswer("the answer is not an object")
    if asked["apiVersion"].endswith("/v1"):
        got = answer.get("apiVersion"), answer.get("kind")
        if got != (asked["apiVersion"], _KIND):
            wanted = f"{asked['apiVersion']}, Kind={_KIND}"
            raise BadAnswer(f"expected webhook response of {wanted}, got {got[0]}, Kind={got[1]}")
    response = answer.get("response")
    if type(response) is not dict:
        raise BadAnswer("no response provided")
    if asked["apiVersion"].endswith("/v1") and response.get("uid") != uid:
        said = field.quote(str(response.get("uid") or ""))
        raise BadAnswer(f"expected response.uid={field.quote(uid)}, got {said}")
    result = response.get("result")
    result = result if type(result) is dict else {}
    if result.get("status") != "Success":
        said = (
            result.get("message")
            or f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        )
        raise BadAnswer(str(said))
    found = response.get("convertedObjects")
    if found is not None and type(found) is not list:
        raise BadAnswer("response.convertedObjects is not a list")
    return found or []


def _judge_object(original: Object, obj: Any, api_version: str) -> dict[str, Any]:
    if type(obj) is not dict:
        raise BadAnswer("not an object")
    if obj.get("apiVersion") != api_version:
        raise BadAnswer(
            f"invalid groupVersion (expected {api_version}, received {obj.get('apiVersion') or ''})"
        )
    if obj.get("kind") != original.get("kind"):
        raise BadAnswer(f"invalid kind (expected {original.get('kind')}, received {obj.get('kind') or ''})")
    meta = obj.get("metadata")
    if "metadata" not in obj:
        raise BadAnswer("missing metadata in converted object")
    if type(meta) is not dict:
        raise BadAnswer("invalid metadata in converted object")
    before = objects.metadata(original)
    for key, title in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (meta.get(key) or "") != (before.get(key) or ""):
            said = f"{before.get(key) or ''} != {meta.get(key) or ''}"
            raise BadAnswer(f"must have the same {title}: {said}")
    return {**obj, "metadata": _restore(before, meta)}


def _restore(before: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original metadata with the labels and annotations of the converted one. Raises BadAnswer."""
    found: dict[str, Any] = objects.copy(dict(before))
    for key, check in (("labels", metadata.labels), ("annotations", metadata.annotations)):
        given = meta.get(key)
        if given is None:
            found.pop(key, None)
            continue
        if type(given) is not dict:
            raise BadAnswer(f"invalid metadata.{key} in converted object")
        for name, value in given.items():
            if type(value) is not str:
                raise BadAnswer(f"metadata.{key}[{name}] must be a string in converted object")
        if given != before.get(key):
            bad = check(given, f"metadata.{key}")
            if bad:
                raise BadAnswer(", ".join(map(str, bad)))
        found[key] = given
    return found
