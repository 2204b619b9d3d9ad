"""What must hold of a definition's spec apart from its schemas: names, versions, columns, conversion. Pure.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.custom import internal, schema_rules, selectable_rules
from nanokube.api.custom.options import Options, holds_any
from nanokube.api.field import FieldError
from nanokube.api.steps import Steps
from nanokube.api.validation import names, webhooks

_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS: Final = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEWS: Final = ("v1", "v1beta1")
_MAX_WARNING: Final = 256
_EXTENSIONS: Final = (
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
_SET_EXTENSIONS: Final = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type")

Spec = Mapping[str, Any]


def validate(spec: Spec, options: Options) -> Steps[list[FieldError]]:
    """Check an internal spec (`internal.spec_of`)."""
    found = _group(spec.get("group") or "")
    found += _choice(spec.get("scope") or "", ("Cluster", "Namespaced"), "spec.scope")
    preserves = bool(spec.get("preserveUnknownFields"))
    if options.requires_schema or not preserves:
        found += _schemas_are_there(spec, only_served=not options.requires_schema)
    schemas = internal.schemas_of(spec)
    has_defaults = holds_any(schemas, lambda s: s.get("default") is not None)
    if has_defaults and preserves:
        detail = "must be false in order to use defaults in the schema"
        found.append(field.invalid("spec.preserveUnknownFields", True, detail))
    is_structural = options.requires_structural or not preserves or has_defaults
    if not is_structural:
        is_structural = holds_any(
            schemas,
            lambda s: (
                any(s.get(k) for k in _EXTENSIONS) or any(s.get(k) is not None for k in _SET_EXTENSIONS)
            ),
        )
    yield
    found += yield from _versions(spec, options, is_structural)
    found += _names_are_there(spec.get("names") or {})
    found += validate_names(spec.get("names") or {}, "spec.names")
    if spec.get("validation") is not None:
        any_status = any(_has_status(row) for row in (spec, *spec["versions"]))
        first = spec["versions"][0].get("name", "") if spec["versions"] else ""
        found += yield from schema_rules.validate(
            spec["validation"].get("openAPIV3Schema"),
            "spec.validation",
            options.for_version(first),
            has_status=any_status,
            is_structural=is_structural,
        )
    found += _row(spec, "spec")
    if spec.get("selectableFields"):
        found += _selectable(spec, "validation", "spec", options, "")
    return found + _conversion(spec.get("conversion"), options, preserves)


def _group(group: str) -> list[FieldError]:
    path = "spec.group"
    if not group:
        return [field.required(path)]
    bad = names.dns_subdomain(group)
    if bad:
        return [field.invalid(path, group, ",".join(bad))]
    return [] if "." in group else [field.invalid(path, group, "should be a domain with at least one dot")]


def _choice(value: str, allowed: tuple[str, ...], path: str) -> list[FieldError]:
    if not value:
        return [field.required(path)]
    return [] if value in allowed else [field.not_supported(path, value, allowed)]


def _schemas_are_there(spec: Spec, *, only_served: bool) -> list[FieldError]:
    if (spec.get("validation") or {}).get("openAPIV3Schema") is not None:
        return []
    said = "because otherwise all fields are pruned" if only_served else ""
    return [
        field.required(f"spec.versions[{i}].schema.openAPIV3Schema", said)
        for i, version in enumerate(spec["versions"])
        if (version.get("schema") or {}).get("openAPIV3Schema") is None
        and (version.get("served") or not only_served)
    ]


def _versions(spec: Spec, options: Options, is_structural: bool) -> Steps[list[FieldError]]:
    found, versions = list[FieldError](), spec["versions"]
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name") or ""
        bad = names.dns1035_label(name)
        if bad:
            found.append(field.invalid(f"{path}.name", name, ",".join(bad)))
        has_status = _has_status(version if any("subresources" in v for v in versions) else spec)
        found += yield from _version(version, path, options.for_version(name), has_status, is_structural)
    shown = internal.show_versions(versions)
    if len({version.get("name") for version in versions}) != len(versions):
        found.append(field.invalid("spec.versions", shown, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        found.append(field.invalid("spec.versions", shown, detail))
    first = versions[0].get("name") or "" if versions else ""
    if first and (bad := names.dns1035_label(first)):
        found.append(field.invalid("spec.version", first, ",".join(bad)))
    return found


def _version(
    version: dict[str, Any], path: str, options: Options, has_status: bool, is_structural: bool
) -> Steps[list[FieldError]]:
    warning = version.get("deprecationWarning")
    found = [
        field.invalid(f"{path}.deprecationWarning", warning, message)
        for message in _warning(bool(version.get("deprecated")), warning)
    ]
    if version.get("schema") is not None:
        found += yield from schema_rules.validate(
            version["schema"].get("openAPIV3Schema"),
            f"{path}.schema",
            options,
            has_status=has_status,
            is_structural=is_structural,
        )
    found += _row(version, path)
    if version.get("selectableFields"):
        found += _selectable(version, "schema", path, options, version.get("name") or "")
    return found


def _row(row: Spec, path: str) -> list[FieldError]:
    """Check what stands at the top or in a version: subresources and columns."""
    found = _subresources(row.get("subresources") or {}, f"{path}.subresources")
    for index, column in enumerate(row.get("additionalPrinterColumns") or ()):
        found += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    return found


def _selectable(row: Spec, key: str, path: str, options: Options, version: str) -> list[FieldError]:
    schema = (row.get(key) or {}).get("openAPIV3Schema")
    if schema is None:
        said = "may only be set when `version.schema.openAPIV3Schema` is not included"
        if not version:
            said = "may only be set when validations.schema is included"
        return [field.invalid(f"{path}.selectableFields", "", said)]
    has_many = version in options.many_fields
    return selectable_rules.validate(row["selectableFields"], schema, f"{path}.selectableFields", has_many)


def _has_status(row: Spec) -> bool:
    return (row.get("subresources") or {}).get("status") is not None


def _warning(is_deprecated: bool, text: str | None) -> list[str]:
    if text is None:
        return []
    if not is_deprecated:
        return ["can only be set for deprecated versions"]
    found = [f"must be <= {_MAX_WARNING} characters long"] if len(text.encode()) > _MAX_WARNING else []
    if not text:
        found.append("must not be an empty string")
    at = 0
    for character in text:
        if not _is_printable(character):
            said = "must only contain printable UTF-8 characters; non-printable character found at index"
            found.append(f"{said} {at}")
            break
        at += len(character.encode())
    return found


def _is_printable(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] in "LMNPS"


# names


def _names_are_there(spec_names: Spec) -> list[FieldError]:
    wanted = ("plural", "singular", "kind", "listKind")
    return [field.required(f"spec.names.{key}") for key in wanted if not spec_names.get(key)]


def validate_names(found_names: Spec, path: str) -> list[FieldError]:
    """Check the forms of names; those that are absent are fine."""
    found: list[FieldError] = []
    for key in ("plural", "singular", "kind", "listKind"):
        text = found_names.get(key) or ""
        is_kind = key.lower().endswith("kind")
        bad = names.dns1035_label(text.lower() if is_kind else text) if text else []
        if bad:
            said = "may have mixed case, but should otherwise match: " if is_kind else ""
            found.append(field.invalid(f"{path}.{key}", text, said + ",".join(bad)))
    found += _labels(found_names.get("shortNames") or (), f"{path}.shortNames")
    kind = found_names.get("kind") or ""
    if kind and kind == found_names.get("listKind"):
        found.append(field.invalid(f"{path}.listKind", kind, "kind and listKind may not be the same"))
    return found + _labels(found_names.get("categories") or (), f"{path}.categories")


def _labels(texts: Any, path: str) -> list[FieldError]:
    return [
        field.invalid(f"{path}[{index}]", text, ",".join(bad))
        for index, text in enumerate(texts)
        if (bad := names.dns1035_label(text))
    ]


# columns and subresources


def _column(column: Spec, path: str) -> list[FieldError]:
    found = [] if column.get("name") else [field.required(f"{path}.name")]
    type_, format_ = column.get("type") or "", column.get("format") or ""
    said = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not type_:
        found.append(field.required(f"{path}.type", said))
    elif type_ not in _COLUMN_TYPES:
        found.append(field.invalid(f"{path}.type", type_, said))
    if format_ and format_ not in _COLUMN_FORMATS:
        found.append(field.invalid(f"{path}.format", format_, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    json_path = column.get("jsonPath") or ""
    if not json_path:
        found.append(field.required(f"{path}.JSONPath"))
    return found + (_simple_path(json_path, f"{path}.JSONPath") if json_path else [])


def _simple_path(text: str, path: str) -> list[FieldError]:
    if text.startswith("."):
        return []
    return [field.invalid(path, text, "must be a simple json path starting with .")]


def _subresources(subresources: Spec, path: str) -> list[FieldError]:
    scale = subresources.get("scale")
    if scale is None:
        return []
    found: list[FieldError] = []
    for key, above in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        text, here = scale.get(key) or "", f"{path}.scale.{key}"
        if not text:
            found.append(field.required(here))
            continue
        bad = _simple_path(text, here)
        if not bad and not text.startswith(above):
            bad = [field.invalid(here, text, f"should be a json path under {above[:-1]}")]
        found += bad
    selector, here = scale.get("labelSelectorPath") or "", f"{path}.scale.labelSelectorPath"
    bad = _simple_path(selector, here) if selector else []
    if selector and not bad and not selector.startswith((".spec.", ".status.")):
        bad = [field.invalid(here, selector, "should be a json path under either .spec or .status")]
    return found + bad


# conversion


def _conversion(conversion: Spec | None, options: Options, preserves: bool) -> list[FieldError]:
    if conversion is None:
        return []
    path, strategy = "spec.conversion", conversion["strategy"]
    found: list[FieldError] = []
    if strategy != "None" and preserves:
        detail = "must be None if spec.preserveUnknownFields is true"
        found.append(field.invalid(f"{path}.strategy", strategy, detail))
    found += _choice(strategy, ("None", "Webhook"), f"{path}.strategy")
    client, reviews = conversion["webhookClientConfig"], conversion["conversionReviewVersions"]
    if strategy == "Webhook":
        found += _client(client, f"{path}.webhookClientConfig", options)
        return found + _reviews(reviews, f"{path}.conversionReviewVersions", options)
    said = "should not be set when strategy is not set to Webhook"
    if client is not None:
        found.append(field.forbidden(f"{path}.webhookClientConfig", said))
    if reviews:
        found.append(field.forbidden(f"{path}.conversionReviewVersions", said))
    return found


def _client(client: Spec | None, path: str, options: Options) -> list[FieldError]:
    if client is None:
        return [field.required(path, "required when strategy is set to Webhook")]
    url, service, found = client.get("url"), client.get("service"), list[FieldError]()
    if (url is None) == (service is None):
        found.append(field.required(path, "exactly one of url or service is required"))
    elif url is not None:
        found += webhooks.webhook_url(url, f"{path}.url")
    elif service is not None:
        found += webhooks.webhook_service(service, f"{path}.service", is_swapped=True)
    bundle = client.get("caBundle")
    if bundle and not options.allows_bad_bundle and not is_bundle(bundle):
        detail = "unable to load root certificates: unable to parse bytes as PEM block"
        found.append(field.invalid(f"{path}.caBundle", bundle, detail))
    return found


def is_bundle(bundle: str) -> bool:
    """Tell whether base64 text holds certificates in PEM."""
    return re.search(b"-----BEGIN CERTIFICATE-----\\s", base64.b64decode(bundle)) is not None


def _reviews(versions: list[str], path: str, options: Options) -> list[FieldError]:
    if not versions:
        return [field.required(path)]
    found, seen = list[FieldError](), set[str]()
    for index, version in enumerate(versions):
        here = f"{path}[{index}]"
        if version in seen:
            found.append(field.invalid(here, version, "duplicate version"))
            continue
        seen.add(version)
        found += (field.invalid(here, version, message) for message in names.dns1035_label(version))
    if options.requires_review_version and not seen & set(_REVIEWS):
        detail = f"must include at least one of {', '.join(_REVIEWS)}"
        found.append(field.invalid(path, versions, detail))
    return found
