"""Validation of ObjectMeta, labels and label selectors. Pure.

Source: apimachinery/pkg/api/validation/objectmeta.go, apis/meta/v1/validation/validation.go.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

IMMUTABLE: Final = "field is immutable"
NEGATIVE: Final = "must be greater than or equal to 0"
_MAX_ANNOTATIONS_BYTES: Final = 256 * 1024
_IMMUTABLE_FIELDS: Final = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_NOT_OF_TEMPLATES: Final = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_STANDARD_FINALIZERS: Final = ("kubernetes", "orphan", "foregroundDeletion")
_SELECTOR_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")

NameCheck = Callable[[str], list[str]]


def validate(
    obj: Object, namespaced: bool, check_name: NameCheck, *, is_update: bool = False
) -> list[FieldError]:
    """Check the metadata of an object."""
    meta, found = objects.metadata(obj), list[FieldError]()
    base = meta.get("generateName") or ""
    if base and not is_update:
        # what follows the base is added later: a trailing dash is fine here
        for message in check_name(base[:-1] + "a" if base.endswith("-") else base):
            found.append(field.invalid("metadata.generateName", base, message))
    name = meta.get("name") or ""
    if not name:
        found.append(field.required("metadata.name", "name or generateName is required"))
    elif not is_update:
        found += (field.invalid("metadata.name", name, message) for message in check_name(name))
    namespace = meta.get("namespace") or ""
    if not namespaced and namespace:
        found.append(field.forbidden("metadata.namespace", "not allowed on this type"))
    elif namespaced and not namespace:
        found.append(field.required("metadata.namespace"))
    elif namespaced:
        found += (field.invalid("metadata.namespace", namespace, m) for m in names.dns_label(namespace))
    found += non_negative(meta.get("generation"), "metadata.generation")
    found += labels(meta.get("labels"), "metadata.labels")
    found += annotations(meta.get("annotations"), "metadata.annotations")
    found += _owners(meta.get("ownerReferences") or ())
    return found + _finalizers(meta.get("finalizers") or [])


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check what an update may not change."""
    meta, before, found = objects.metadata(new), objects.metadata(old), list[FieldError]()
    for key in _IMMUTABLE_FIELDS:
        if (meta.get(key) or None) != (before.get(key) or None):
            found.append(field.invalid(f"metadata.{key}", meta.get(key), IMMUTABLE))
    if before.get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            listed = "[]string{" + ", ".join(field.quote(f) for f in added) + "}"
            detail = (
                "no new finalizers can be added if the object is being deleted, found new finalizers "
                + listed
            )
            found.append(field.forbidden("metadata.finalizers", detail))
    return found


def finalizer_names(obj: Object) -> list[FieldError]:
    """Demand that finalizers are qualified names or of the few standard ones, as all built-in groups do."""
    detail = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        field.invalid(f"metadata.finalizers[{index}]", value, detail)
        for index, value in enumerate(objects.metadata(obj).get("finalizers") or ())
        if "/" not in value and value not in _STANDARD_FINALIZERS
    ]


def labels(values: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Check a map of labels."""
    found: list[FieldError] = []
    for key, value in (values or {}).items():
        if bad := names.qualified_name(key):
            found += (field.invalid(path, key, m) for m in bad)
        if bad := names.label_value(value):
            found += (field.invalid(path, value, m) for m in bad)
    return found


def annotations(values: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Check a map of annotations."""
    found: list[FieldError] = []
    size = 0
    for key, value in (values or {}).items():
        if bad := names.qualified_name(key.lower()):
            found += (field.invalid(path, key, m) for m in bad)
        size += len(key.encode()) + len(value.encode())
    if size > _MAX_ANNOTATIONS_BYTES:
        found.append(field.too_long(path, _MAX_ANNOTATIONS_BYTES))
    return found


def label_selector(selector: Mapping[str, Any] | None, path: str) -> list[FieldError]:
    """Check a LabelSelector."""
    found = labels((selector or {}).get("matchLabels"), f"{path}.matchLabels")
    for index, term in enumerate((selector or {}).get("matchExpressions") or ()):
        found += _expression(term, f"{path}.matchExpressions[{index}]")
    return found


def shown_selector(selector: Mapping[str, Any] | None) -> field.Struct | None:
    """Return a label selector as upstream prints it: in the order of its fields."""
    if selector is None:
        return None
    shown = field.Struct()
    if selector.get("matchLabels"):
        shown["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        shown["matchExpressions"] = [
            {"key": term.get("key") or "", "operator": term.get("operator") or ""}
            | ({"values": term["values"]} if term.get("values") else {})
            for term in selector["matchExpressions"]
        ]
    return shown


def _expression(term: Mapping[str, Any], path: str) -> list[FieldError]:
    operator, values, found = term.get("operator"), term.get("values") or (), list[FieldError]()
    if operator not in _SELECTOR_OPERATORS:
        found.append(field.invalid(f"{path}.operator", operator or "", "not a valid selector operator"))
    elif operator in ("In", "NotIn") and not values:
        detail = "must be specified when `operator` is 'In' or 'NotIn'"
        found.append(field.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist") and values:
        detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        found.append(field.forbidden(f"{path}.values", detail))
    key = term.get("key") or ""
    found += (field.invalid(f"{path}.key", key, m) for m in names.qualified_name(key))
    for index, value in enumerate(values):
        found += (field.invalid(f"{path}.values[{index}]", value, m) for m in names.label_value(value))
    return found


def immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    """Check that a field did not change."""
    return [] if new == old else [field.invalid(path, new, IMMUTABLE)]


def non_negative(value: Any, path: str) -> list[FieldError]:
    """Check a number that may be absent."""
    return [field.invalid(path, value, NEGATIVE)] if value is not None and value < 0 else []


def _owners(references: Any) -> list[FieldError]:
    path, found = "metadata.ownerReferences", list[FieldError]()
    for ref in references:
        if not ref.get("apiVersion"):
            found.append(field.invalid(f"{path}.apiVersion", "", "version must not be empty"))
        for key in ("kind", "name", "uid"):
            if not ref.get(key):
                found.append(field.invalid(f"{path}.{key}", "", "must not be empty"))
        if ref.get("kind") == "Event":
            detail = f"{ref.get('apiVersion')}, Kind=Event is disallowed from being an owner"
            found.append(field.invalid(path, ref, detail))
    if sum(bool(r.get("controller")) for r in references) > 1:
        owners = [r.get("name") for r in references if r.get("controller")]
        detail = (
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {owners[0]} and {owners[1]}'
        )
        found.append(field.invalid(path, [_shown_owner(ref) for ref in references], detail))
    return found


def _shown_owner(ref: Mapping[str, Any]) -> field.Struct:
    shown = field.Struct({key: ref.get(key) or "" for key in ("apiVersion", "kind", "name", "uid")})
    for key in ("controller", "blockOwnerDeletion"):
        if ref.get(key) is not None:
            shown[key] = ref[key]
    return shown


def template_only(meta: Mapping[str, Any], path: str) -> list[FieldError]:
    """Check the metadata of a template, which has labels and annotations only."""
    found = annotations(meta.get("annotations"), f"{path}.annotations")
    found += labels(meta.get("labels"), f"{path}.labels")
    return found + [
        field.forbidden(f"{path}.{'uID' if key == 'uid' else key}", "cannot be set")
        for key in _NOT_OF_TEMPLATES
        if meta.get(key)
    ]


def _finalizers(values: list[str]) -> list[FieldError]:
    path = "metadata.finalizers"
    found = [field.invalid(path, v, m) for v in values for m in names.qualified_name(v)]
    if {"orphan", "foregroundDeletion"} <= set(values):
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(field.invalid(path, values, detail))
    return found
