"""Validation of ResourceSlices. Pure. Source: pkg/apis/resource/validation/validation.go."""

from __future__ import annotations

import re
from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import devices, formats, metadata, names, scheduling

_MAX_DEVICES: Final = 128
_MAX_DEVICES_ADVANCED: Final = 64  # with taints or counters
_MAX_COUNTER_SETS: Final = 8
_MAX_COUNTERS: Final = 32
_MAX_CONSUMPTIONS: Final = 2
_MAX_ATTRIBUTES: Final = 32
_MAX_TAINTS: Final = 16
_MAX_VALUE_BYTES: Final = 64
_MAX_VALID_VALUES: Final = 10
_NO_LIMIT: Final = 1 << 31
_VALUES: Final = ("bool", "int", "string", "version")
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_ONE_CHOICE: Final = (
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
)
_ONE_PER_DEVICE: Final = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is "
    "set to true in the ResourceSlice spec"
)
_ONE_POLICY: Final = (
    'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
)
_NOT_PER_DEVICE: Final = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
    "the ResourceSlice spec"
)


def validate(obj: Object) -> list[FieldError]:
    """Check a ResourceSlice."""
    spec = objects.spec(obj)
    found = formats.csi_driver(spec.get("driver") or "", "spec.driver")
    found += _pool(spec.get("pool") or {}, "spec.pool")
    found += _nodes(spec)
    if spec.get("sharedCounters") and spec.get("devices"):
        detail = "only one of `sharedCounters` or `devices` is allowed"
        found.append(field.invalid("spec", "", detail))
    listed, is_per_device = spec.get("devices") or [], bool(spec.get("perDeviceNodeSelection"))
    is_advanced = any(device.get("taints") or device.get("consumesCounters") for device in listed)

    def device(each: Object, path: str) -> list[FieldError]:
        return _device(each, path, is_per_device=is_per_device)

    limit = _MAX_DEVICES_ADVANCED if is_advanced else _MAX_DEVICES
    found += devices.unique_items(listed, limit, device, devices.by_name, "spec.devices")
    return found + devices.unique_items(
        spec.get("sharedCounters"), _MAX_COUNTER_SETS, _counter_set, devices.by_name, "spec.sharedCounters"
    )


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a slice is still of the same pool, driver and node."""
    spec, before = objects.spec(new), objects.spec(old)
    pool, old_pool = spec.get("pool") or {}, before.get("pool") or {}
    found = metadata.immutable(pool.get("name"), old_pool.get("name"), "spec.pool.name")
    for key in ("driver", "nodeName"):
        found += metadata.immutable(spec.get(key), before.get(key), f"spec.{key}")
    return found


def _pool(pool: Object, path: str) -> list[FieldError]:
    found = devices.pool(pool.get("name"), f"{path}.name")
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        found.append(field.invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        detail = "must be greater than or equal to zero"
        found.append(field.invalid(f"{path}.generation", generation, detail))
    return found


def _nodes(spec: Object) -> list[FieldError]:
    found, present = _choice(spec, "spec", "must be either unset or set to a non-empty string")
    terms = (spec.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if spec.get("nodeSelector") is not None and len(terms) != 1:
        detail = "must have exactly one node selector term"
        found.append(field.invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    per_device = spec.get("perDeviceNodeSelection")
    if per_device:
        present.append("`perDeviceNodeSelection`")
    elif per_device is not None:
        detail = "must be either unset or set to true"
        found.append(field.invalid("spec.perDeviceNodeSelection", per_device, detail))
    return found + devices.only_one(
        present, "spec", _ONE_CHOICE, f"{_ONE_CHOICE}, but multiple fields are set"
    )


def _choice(holder: Object, path: str, empty: str) -> tuple[list[FieldError], list[str]]:
    """Check the ways to say which nodes have a device; returns also which of them are used."""
    found, present = list[FieldError](), list[str]()
    node, selector, all_nodes = (holder.get(k) for k in ("nodeName", "nodeSelector", "allNodes"))
    if node:
        present.append("`nodeName`")
        found += formats.each(names.dns_subdomain, node, f"{path}.nodeName")
    elif node is not None:
        found.append(field.invalid(f"{path}.nodeName", node, empty))
    if selector is not None:
        present.append("`nodeSelector`")
        found += scheduling.node_selector(selector, f"{path}.nodeSelector")
    if all_nodes:
        present.append("`allNodes`")
    elif all_nodes is not None:
        detail = "must be either unset or set to true"
        found.append(field.invalid(f"{path}.allNodes", all_nodes, detail))
    return found, present


def _device(device: Object, path: str, *, is_per_device: bool) -> list[FieldError]:
    found = devices.label(device.get("name"), f"{path}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > _MAX_ATTRIBUTES:
        detail = f"the total number of attributes and capacities must not exceed {_MAX_ATTRIBUTES}"
        found.append(field.invalid(path, len(attributes) + len(capacity), detail))
    name = devices.qualified_name
    found += devices.entries(attributes, _NO_LIMIT, name, _attribute, f"{path}.attributes")
    check = _shared_capacity if device.get("allowMultipleAllocations") else _capacity
    found += devices.entries(capacity, _NO_LIMIT, name, check, f"{path}.capacity")
    found += devices.items(device.get("taints"), _MAX_TAINTS, devices.taint, f"{path}.taints")
    found += devices.unique_items(
        device.get("consumesCounters"),
        _MAX_CONSUMPTIONS,
        _consumption,
        lambda each: each.get("counterSet") or "",
        f"{path}.consumesCounters",
    )
    found += _device_nodes(device, path, is_per_device=is_per_device)
    return found + devices.binding_conditions(device, path)


def _device_nodes(device: Object, path: str, *, is_per_device: bool) -> list[FieldError]:
    if is_per_device:
        found, present = _choice(device, path, "must not be empty")
        return found + devices.only_one(present, path, _ONE_PER_DEVICE, _ONE_PER_DEVICE)
    if all(device.get(key) is None for key in ("nodeName", "nodeSelector", "allNodes")):
        return []
    return [field.invalid(path, None, _NOT_PER_DEVICE)]


def _attribute(attribute: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    text, version = attribute.get("string"), attribute.get("version")
    if text is not None and len(text.encode()) > _MAX_VALUE_BYTES:
        found.append(field.too_long(f"{path}.string", _MAX_VALUE_BYTES))
    if version is not None:
        if _SEMVER.fullmatch(version) is None:
            detail = "must be a string compatible with semver.org spec 2.0.0"
            found.append(field.invalid(f"{path}.version", version, detail))
        if len(version.encode()) > _MAX_VALUE_BYTES:
            found.append(field.too_long(f"{path}.version", _MAX_VALUE_BYTES))
    count = sum(attribute.get(key) is not None for key in _VALUES)
    if count != 1:
        shown = _shown_attribute(attribute) if count else ""
        found.append(field.invalid(path, shown, "exactly one value must be specified"))
    return found


def _capacity(capacity: Object, path: str) -> list[FieldError]:
    if capacity.get("requestPolicy") is None:
        return []
    return [field.forbidden(f"{path}.requestPolicy", "allowMultipleAllocations must be true")]


def _shared_capacity(capacity: Object, path: str) -> list[FieldError]:
    policy, path = capacity.get("requestPolicy") or {}, f"{path}.requestPolicy"
    values, span, default = policy.get("validValues"), policy.get("validRange"), policy.get("default")
    if values and span is not None:
        return [field.forbidden(path, _ONE_POLICY)]
    if not values and span is None:
        return []
    if default is None:
        kind = "validValues" if values else "validRange"
        return [field.required(f"{path}.default", f"required when {kind} is defined")]
    most = quantity.parse(capacity.get("value") or "0")
    if values:
        return _valid_values(values, quantity.parse(default), most, f"{path}.validValues")
    return _valid_range(span or {}, quantity.parse(default), most, f"{path}.validRange")


def _valid_values(
    values: list[Any], default: quantity.Quantity, most: quantity.Quantity, path: str
) -> list[FieldError]:
    parsed, found = [quantity.parse(value) for value in values], list[FieldError]()
    for index, value in enumerate(parsed[1:], start=1):
        if parsed[index - 1] > value:
            detail = "values must be sorted in ascending order"
            found.append(field.invalid(f"{path}[{index}]", str(value), detail))

    def option(value: quantity.Quantity, where: str) -> list[FieldError]:
        detail = f"option is larger than capacity value: {most}"
        return [field.invalid(where, str(value), detail)] if value > most else []

    found += devices.unique_items(parsed, _MAX_VALID_VALUES, option, lambda each: str(each.value), path)
    if default not in parsed:
        detail = "default value is not valid according to the requestPolicy"
        found.append(field.invalid(path, str(default), detail))
    return found


def _valid_range(
    span: Object, default: quantity.Quantity, most: quantity.Quantity, path: str
) -> list[FieldError]:
    if span.get("min") is None:
        return [field.required(f"{path}.min", "required when validRange is defined")]
    low, found = quantity.parse(span["min"]), list[FieldError]()
    high = None if span.get("max") is None else quantity.parse(span["max"])
    for is_wrong, key, value, detail in (
        (low > most, "min", low, f"min is larger than capacity value: {most}"),
        (default < low, "min", default, f"default is less than min: {low}"),
        (high is not None and low > high, "max", low, f"min is larger than max: {high}"),
        (high is not None and high > most, "max", high, f"max is larger than capacity value: {most}"),
        (high is not None and default > high, "max", default, f"default is more than max: {high}"),
    ):
        if is_wrong:
            found.append(field.invalid(f"{path}.{key}", str(value), detail))
    if span.get("step") is not None:
        found += _step(quantity.parse(span["step"]), low, [default] + ([high] if high else []), most, path)
    return found


def _step(
    step: quantity.Quantity,
    low: quantity.Quantity,
    values: list[quantity.Quantity],
    most: quantity.Quantity,
    path: str,
) -> list[FieldError]:
    found: list[FieldError] = []
    if low + step > most:
        detail = f"one step {low + step} is larger than capacity value: {most}"
        found.append(field.invalid(f"{path}.step", str(step), detail))
    for value in values:
        if step.value and (value.value - low.value) % step.value:
            detail = f"value is not a multiple of a given step ({step}) from ({low})"
            found.append(field.invalid(f"{path}.step", str(value), detail))
    return found


def _any(value: Any, path: str) -> list[FieldError]:
    return []  # a quantity that parses is a good counter


def _counter_set(each: Object, path: str) -> list[FieldError]:
    found = formats.required_name(each.get("name"), names.dns_label, f"{path}.name")
    return found + _counters(each, path)


def _consumption(each: Object, path: str) -> list[FieldError]:
    found = formats.required_name(each.get("counterSet"), names.dns_label, f"{path}.counterSet")
    return found + _counters(each, path)


def _counters(each: Object, path: str) -> list[FieldError]:
    if not each.get("counters"):
        return [field.required(f"{path}.counters")]
    return devices.entries(each["counters"], _MAX_COUNTERS, devices.label, _any, f"{path}.counters")


def _shown_attribute(attribute: Object) -> field.Struct:
    kinds = ("int", "bool", "string", "version")
    shown = {f"{kind.capitalize()}Value": attribute.get(kind) for kind in kinds}
    lists = {f"{kind.capitalize()}Values": attribute.get(f"{kind}s") for kind in kinds}
    return field.Struct({**shown, **lists})
