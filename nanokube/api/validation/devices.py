"""What claims, classes and slices of devices share: names, bounded lists, selectors, configuration. Pure.

Source: pkg/apis/resource/validation/validation.go,
staging/src/k8s.io/api/resource/v1/types.go (limits).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import expressions, formats, names

MAX_SELECTORS: Final = 32
MAX_CONFIGS: Final = 32
EFFECTS: Final = ("NoExecute", "NoSchedule", "None")
_MAX_EXPRESSION_BYTES: Final = 10 * 1024
_MAX_PARAMETERS_BYTES: Final = 10 * 1024
_MAX_CONDITIONS: Final = 4
_MAX_ID: Final = 32
_IDENTIFIER: Final = "[A-Za-z_][A-Za-z0-9_]*"
_IDENTIFIER_RULE: Final = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_'"
)
_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UID_RULE: Final = (
    "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
    "hexadecimal characters"
)

Check = Callable[[Any, str], list[FieldError]]


def items(values: Sequence[Any] | None, limit: int, check: Check, path: str) -> list[FieldError]:
    """Check each item of a list that is not too long; too long a list is not looked at."""
    values = values or ()
    if len(values) > limit:
        return [field.too_many(path, len(values), limit)]
    return [error for index, value in enumerate(values) for error in check(value, f"{path}[{index}]")]


def unique_items(
    values: Sequence[Any] | None, limit: int, check: Check, key: Callable[[Any], Any], path: str
) -> list[FieldError]:
    """Check each item of a list that has none twice."""
    found = items(values, limit, check, path)
    if len(values or ()) > limit:
        return found
    seen: list[Any] = []
    for index, value in enumerate(values or ()):
        if key(value) in seen:
            found.append(field.duplicate(f"{path}[{index}]", key(value)))
        seen.append(key(value))
    return found


def entries(
    values: Mapping[str, Any] | None, limit: int, check_key: Check, check: Check, path: str
) -> list[FieldError]:
    """Check keys and values of a map that is not too large."""
    values, found = values or {}, list[FieldError]()
    if len(values) > limit:
        return [field.too_many(path, len(values), limit)]
    for key, value in values.items():
        found += check_key(key, path) + check(value, f"{path}[{key}]")
    return found


def by_name(value: Object) -> str:
    """Return what makes an item unique."""
    return value.get("name") or ""


def itself(value: Any) -> Any:
    """Return a plain value, which is its own key."""
    return value


def label(text: str | None, path: str) -> list[FieldError]:
    """Check the name of a device, request or counter."""
    return formats.each(names.dns_label, text or "", path)


def key(text: str | None, path: str) -> list[FieldError]:
    """Check a label key."""
    return formats.each(names.qualified_name, text or "", path)


def pool(name: str | None, path: str) -> list[FieldError]:
    """Check the name of a pool: subdomains between slashes."""
    if not name:
        return [field.required(path)]
    found = [field.too_long(path, names.MAX_SUBDOMAIN)] if len(name) > names.MAX_SUBDOMAIN else []
    return found + [e for part in name.split("/") for e in formats.each(names.dns_subdomain, part, path)]


def uid(text: str, path: str) -> list[FieldError]:
    """Check a UID."""
    return [] if _UUID.fullmatch(text) else [field.invalid(path, text, _UID_RULE)]


def qualified_name(text: str, path: str) -> list[FieldError]:
    """Check the name of an attribute or capacity; more than one slash passes, as upstream has it."""
    domain, slash, name = text.rpartition("/")
    if text.count("/") > 1:
        return []
    found: list[FieldError] = []
    if slash and not domain:
        found.append(field.invalid(path, "", "the domain must not be empty"))
    elif slash:
        found += formats.csi_driver(domain, path)
    if slash and not name:
        return [*found, field.invalid(path, "", "the name must not be empty")]
    return found + _identifier(name, path)


def _identifier(text: str, path: str) -> list[FieldError]:
    found = [field.too_long(path, _MAX_ID)] if len(text) > _MAX_ID else []
    if re.fullmatch(_IDENTIFIER, text) is None:
        detail = names.regex_error(_IDENTIFIER_RULE, _IDENTIFIER, "my_name", "MY_NAME", "MyName")
        found.append(field.invalid(path, text, detail))
    return found


def fully_qualified_name(text: str, path: str) -> list[FieldError]:
    """Check the name of an attribute together with its domain."""
    found = qualified_name(text, path)
    if "/" not in text:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        found.append(field.invalid(path, text, detail))
    return found


def selectors(values: Sequence[Any] | None, path: str) -> list[FieldError]:
    """Check which devices are wanted."""
    return items(values, MAX_SELECTORS, _selector, path)


def _selector(selector: Object, path: str) -> list[FieldError]:
    cel = selector.get("cel")
    if cel is None:
        return [field.required(f"{path}.cel")]
    if len((cel.get("expression") or "").encode()) > _MAX_EXPRESSION_BYTES:
        return [field.too_long(f"{path}.cel.expression", _MAX_EXPRESSION_BYTES)]
    return list(expressions.device_selector(cel.get("expression") or "", f"{path}.cel.expression"))


def configuration(config: Object, path: str) -> list[FieldError]:
    """Check parameters for a driver."""
    opaque, where = config.get("opaque"), f"{path}.opaque"
    if opaque is None:
        return [field.required(where)]
    found = formats.csi_driver(opaque.get("driver") or "", f"{where}.driver")
    return found + raw(opaque.get("parameters"), _MAX_PARAMETERS_BYTES, f"{where}.parameters")


def raw(value: Any, limit: int, path: str) -> list[FieldError]:
    """Check a JSON object that only a driver understands."""
    if value is None:
        return [field.required(path)]
    if len(json.dumps(value, separators=(",", ":")).encode()) > limit:
        return [field.too_long(path, limit)]
    if not isinstance(value, dict):
        return [field.invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def taint(each: Object, path: str) -> list[FieldError]:
    """Check a taint of a device."""
    value, effect = each.get("value") or "", each.get("effect") or ""
    found = key(each.get("key"), f"{path}.key")
    found += formats.each(names.label_value, value, f"{path}.value") if value else []
    if not effect:
        return [*found, field.required(f"{path}.effect")]
    return found + formats.choice(effect, EFFECTS, f"{path}.effect")


def toleration(each: Object, path: str) -> list[FieldError]:
    """Check which taints of a device are tolerated."""
    found = key(each["key"], f"{path}.key") if each.get("key") else []
    operator, value, effect = each.get("operator") or "", each.get("value") or "", each.get("effect") or ""
    if operator == "Exists" and value:
        found.append(field.invalid(f"{path}.value", value, "must be empty for operator `Exists`"))
    elif operator == "Equal":
        found += formats.each(names.label_value, value, f"{path}.value")
    elif not operator:
        found.append(field.required(f"{path}.operator"))
    elif operator != "Exists":
        found.append(field.not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    return found + formats.choice(effect, EFFECTS, f"{path}.effect") if effect else found


def binding_conditions(each: Object, path: str) -> list[FieldError]:
    """Check which conditions a device must and must not have before a Pod is bound."""
    wanted, failures = each.get("bindingConditions") or [], each.get("bindingFailureConditions") or []
    here, there = f"{path}.bindingConditions", f"{path}.bindingFailureConditions"
    found = items(wanted, _MAX_CONDITIONS, key, here) + items(failures, _MAX_CONDITIONS, key, there)
    found += _repeated(wanted, here)
    for index, condition in enumerate(failures):
        if condition in failures[:index]:
            found.append(field.duplicate(f"{there}[{index}]", condition))
        if condition in wanted:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            found.append(field.invalid(f"{there}[{index}]", condition, detail))
    if failures and not wanted:
        detail = "bindingConditions are required to use bindingFailureConditions"
        found.append(field.invalid(here, wanted, detail))
    if wanted and not failures:
        detail = "bindingFailureConditions are required to use bindingConditions"
        found.append(field.invalid(there, failures, detail))
    return found


def _repeated(values: Sequence[Any], path: str) -> list[FieldError]:
    return [field.duplicate(f"{path}[{i}]", v) for i, v in enumerate(values) if v in values[:i]]


def validate_class(obj: Object) -> list[FieldError]:
    """Check a DeviceClass."""
    spec = objects.spec(obj)
    found = selectors(spec.get("selectors"), "spec.selectors")
    found += items(spec.get("config"), MAX_CONFIGS, configuration, "spec.config")
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended_resource(name):
        detail = "must be a valid extended resource name"
        found.append(field.invalid("spec.extendedResourceName", name, detail))
    return found


def is_extended_resource(name: str) -> bool:
    """Tell whether a resource is neither Kubernetes' own nor a quota's."""
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def only_one(present: Collection[str], path: str, missing: str, several: str) -> list[FieldError]:
    """Check that exactly one of several fields is set; `present` are their names in backquotes."""
    if not present:
        return [field.required(path, missing)]
    return [field.invalid(path, f"{{{', '.join(present)}}}", several)] if len(present) > 1 else []
