"""CustomResourceDefinitions themselves: their defaults and what must hold of them. Pure.

The façade of the rules. A definition that broke a rule before the rule was there may go on breaking it.
Source: apiextensions-apiserver/pkg/apis/apiextensions/{v1/defaults.go,validation/validation.go}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from nanokube.api import field, objects
from nanokube.api.custom import formats, internal, list_rules, node, prune, spec_rules, structural_rules
from nanokube.api.custom.options import Options, holds_any, walk
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.steps import Steps

APPROVED: Final = "api-approved.kubernetes.io"
_PROTECTED: Final = ("k8s.io", "kubernetes.io")
_MAX_FIELDS: Final = 8
_TYPES: Final = frozenset(("array", "boolean", "integer", "number", "object", "string"))


def apply_defaults(crd: dict[str, Any]) -> None:
    """Fill in names, conversion and the first stored version, in place."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if not names.get("singular"):
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    status = crd.setdefault("status", {})
    if not status.get("storedVersions"):
        stored = next((v["name"] for v in spec.get("versions") or () if v.get("storage")), None)
        if stored is not None:
            status["storedVersions"] = [stored]


def validate_create(crd: Object) -> Steps[list[FieldError]]:
    """Find what is wrong with a new definition, apart from its metadata."""
    spec = internal.spec_of(objects.spec(crd))
    names = spec.get("names") or {}
    found: list[FieldError] = []
    name = objects.name(crd)
    if name and name != f"{names.get('plural') or ''}.{spec.get('group') or ''}":
        found.append(field.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    found += yield from spec_rules.validate(spec, Options())
    found += _status(crd) + _approval(crd, None)
    return found + _preserve(crd, None)


def validate_update(new: Object, old: Object) -> Steps[list[FieldError]]:
    """Find what is wrong with a definition that is to replace another, apart from its metadata."""
    found = [] if objects.spec(new) == objects.spec(old) else (yield from _spec_update(new, old))
    found += _status(new) + _approval(new, old)
    return found + _preserve(new, old)


def _spec_update(new: Object, old: Object) -> Steps[list[FieldError]]:
    spec, before = internal.spec_of(objects.spec(new)), internal.spec_of(objects.spec(old))
    is_established = objects.is_condition_true(old, "Established")
    allows_bad_bundle = not is_established or _has_bad_bundle(before)
    found = yield from spec_rules.validate(spec, Options(allows_bad_bundle=allows_bad_bundle))
    if found:  # maybe not, with what is forgiven: to find that out takes as long as to check
        options = _options(new, old, before, allows_bad_bundle=allows_bad_bundle)
        found = yield from spec_rules.validate(spec, options)
    names, old_names = spec.get("names") or {}, before.get("names") or {}
    if is_established:
        found += _immutable(spec.get("scope"), before.get("scope"), "spec.scope")
        found += _immutable(names.get("kind"), old_names.get("kind"), "spec.names.kind")
    found += _immutable(spec.get("group"), before.get("group"), "spec.group")
    return found + _immutable(names.get("plural"), old_names.get("plural"), "spec.names.plural")


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a definition whose status is to replace that of another."""
    return spec_rules.validate_names(objects.status(new).get("acceptedNames") or {}, "status.acceptedNames")


def structural_problem(crd: Object) -> str:
    """Return why schemas are not structural, as the condition says it, or ""; those of old may be so."""
    found: list[str] = []
    if objects.spec(crd).get("preserveUnknownFields"):
        found.append(str(field.invalid("spec.preserveUnknownFields", True, "must be false")))
    for index, version in enumerate(objects.spec(crd).get("versions") or ()):
        schema = _schema_of(version)
        if schema is not None:
            path = f"spec.versions[{index}].schema.openAPIV3Schema"
            found += map(str, structural_rules.validate(schema, path))
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]" if found else ""


def warnings(new: Object, old: Object | None = None) -> list[str]:
    """Return what to say of a definition that is accepted: formats that nobody knows, if they are new."""
    found = _unknown_formats(new)
    before = _unknown_formats(old) if found and old is not None else []
    return [f"unrecognized format {field.quote(each)}" for each in found if each not in before]


def _unknown_formats(crd: Object) -> list[str]:
    schemas = internal.schemas_of(internal.spec_of(objects.spec(crd)))
    return [
        each["format"]
        for schema in schemas
        for each in walk(schema)
        if each.get("format") and not formats.is_known(each["format"], each.get("type") or "")
    ]


def _immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    return [] if new == old else [field.invalid(path, new, "field is immutable")]


def _status(crd: Object) -> list[FieldError]:
    status = objects.status(crd)
    found = spec_rules.validate_names(status.get("acceptedNames") or {}, "status.acceptedNames")
    return found + _stored_versions(
        status.get("storedVersions") or [], objects.spec(crd).get("versions") or ()
    )


def _stored_versions(stored: list[str], versions: Any) -> list[FieldError]:
    path = "status.storedVersions"
    if not stored:
        return [field.invalid(path, None, "must have at least one stored version")]
    found, missing = list[FieldError](), set(stored)
    for version in versions:
        name = version.get("name")
        if version.get("storage") and name not in missing:
            found.append(field.invalid(path, stored, f"must have the storage version {name}"))
        missing.discard(name)
    for index, name in enumerate(stored):
        if name in missing:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and "
                f"removes {name} from status.storedVersions"
            )
            found.append(field.invalid(f"{path}[{index}]", name, detail))
    return found


# approval of protected groups


def is_protected(group: str) -> bool:
    """Tell whether only the community may define kinds in a group."""
    return group in _PROTECTED or group.endswith(tuple(f".{each}" for each in _PROTECTED))


def approval(crd: Object) -> tuple[str, str]:
    """Return whether a definition is "missing" approval, "approved", "bypassed" or "invalid", and why."""
    text = objects.annotations(crd).get(APPROVED) or ""
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not text:
        return "missing", f'protected groups must have approval annotation "{APPROVED}", {see}'
    if text.startswith("unapproved"):
        return "bypassed", f"not approved: {field.quote(text)}"
    if _is_url(text):
        return "approved", f"approved in {text}"
    said = "with either a URL or a reason starting with"
    return (
        "invalid",
        f'protected groups must have approval annotation "{APPROVED}" {said} "unapproved", {see}',
    )


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return bool(url.scheme and url.netloc)


def _approval(new: Object, old: Object | None) -> list[FieldError]:
    if not is_protected(objects.spec(new).get("group") or ""):
        return []
    state, reason = approval(new)
    if old is not None and approval(old)[0] == state:
        return []
    path = f"metadata.annotations[{APPROVED}]"
    if state == "missing":
        return [field.required(path, reason)]
    if state == "invalid":
        return [field.invalid(path, objects.annotations(new).get(APPROVED), reason)]
    return []


def _preserve(new: Object, old: Object | None) -> list[FieldError]:
    key = "preserveUnknownFields"
    if not objects.spec(new).get(key) or (old is not None and objects.spec(old).get(key)):
        return []
    detail = (
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
        "spec.versions[*].schema instead"
    )
    return [field.invalid(f"spec.{key}", True, detail)]


# what an update may go on breaking


def _options(new: Object, old: Object, before: Mapping[str, Any], *, allows_bad_bundle: bool) -> Options:
    schemas = internal.schemas_of(before)
    rows = objects.spec(old).get("versions") or ()
    reviews = (before.get("conversion") or {}).get("conversionReviewVersions") or ()
    return Options(
        requires_review_version=not reviews or bool(set(reviews) & {"v1", "v1beta1"}),
        requires_schema=all(_schema_of(row) is not None for row in rows),
        requires_valid_types=not holds_any(schemas, lambda s: (s.get("type") or "object") not in _TYPES),
        requires_structural=all(structural_rules.is_structural(schema) for schema in schemas),
        requires_pruned_defaults=not any(_has_unpruned_default(schema) for schema in schemas),
        requires_atomic_sets=not holds_any(schemas, list_rules.has_other_than_atomic),
        requires_list_keys=not holds_any(schemas, lambda s: bool(list_rules.keyed_items(s, ""))),
        allows_bad_bundle=allows_bad_bundle,
        unchanged=_unchanged(new, old),
        many_fields=_many_fields(new, old),
    )


def _schema_of(version: Mapping[str, Any]) -> Any:
    return (version.get("schema") or {}).get("openAPIV3Schema")


def _has_unpruned_default(schema: Mapping[str, Any]) -> bool:
    if not structural_rules.is_structural(schema):
        return False
    todo = [node.of(schema)]
    while todo:
        found = todo.pop()
        if found.default is not None and prune.prune(found, objects.copy(found.default)):
            return True
        todo += (child for _, child in found.children())
    return False


def _has_bad_bundle(before: Mapping[str, Any]) -> bool:
    client = (before.get("conversion") or {}).get("webhookClientConfig") or {}
    bundle = client.get("caBundle") or ""
    return bool(bundle) and not spec_rules.is_bundle(bundle)


def _unchanged(new: Object, old: Object) -> frozenset[str]:
    before = {v.get("name"): _schema_of(v) for v in objects.spec(old).get("versions") or ()}
    return frozenset(
        str(v.get("name"))
        for v in objects.spec(new).get("versions") or ()
        if v.get("name") in before and _schema_of(v) == before[v.get("name")]
    )


def _many_fields(new: Object, old: Object) -> frozenset[str]:
    before = {v.get("name"): v.get("selectableFields") or [] for v in objects.spec(old).get("versions") or ()}
    found = {
        str(v.get("name"))
        for v in objects.spec(new).get("versions") or ()
        if len(fields := before.get(v.get("name"), ())) > _MAX_FIELDS and fields == v.get("selectableFields")
    }
    return frozenset(found | {""} if found else found)
