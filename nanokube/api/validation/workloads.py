"""Validation of Deployments and ReplicaSets. Pure. Source: pkg/apis/apps/validation/validation.go."""

from __future__ import annotations

from typing import Any

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names, template


def validate_deployment(obj: Object) -> list[FieldError]:
    """Check a Deployment."""
    spec = objects.spec(obj)
    found = metadata.non_negative(spec.get("replicas"), "spec.replicas")
    found += selector(spec, "deployment")
    found += _template(spec)
    found += _strategy(spec.get("strategy") or {})
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        found += metadata.non_negative(spec.get(key), f"spec.{key}")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        detail = "must be greater than minReadySeconds"
        found.append(field.invalid("spec.progressDeadlineSeconds", deadline, detail))
    return found


def validate_replica_set(obj: Object) -> list[FieldError]:
    """Check a ReplicaSet."""
    spec = objects.spec(obj)
    found = metadata.non_negative(spec.get("replicas"), "spec.replicas")
    found += metadata.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    return found + selector(spec, "deployment") + _template(spec)  # upstream says so of both


def validate_selector_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the selector stayed."""
    return metadata.immutable(
        objects.spec(new).get("selector"), objects.spec(old).get("selector"), "spec.selector"
    )


def selector(spec: Object, kind: str) -> list[FieldError]:
    """Check that spec.selector is there, well formed and not empty. kind: as the message names it."""
    chosen = spec.get("selector")
    if chosen is None:
        return [field.required("spec.selector")]
    return metadata.label_selector(chosen, "spec.selector") + not_empty(chosen, kind)


def not_empty(chosen: Object | None, kind: str) -> list[FieldError]:
    """Check that a selector, if there is one, does not select everything."""
    if chosen is None or chosen.get("matchLabels") or chosen.get("matchExpressions"):
        return []
    return [field.invalid("spec.selector", {}, f"empty selector is invalid for {kind}")]


def _template(spec: Object) -> list[FieldError]:
    """Check the template, if the selector can be read that has to select it."""
    chosen = spec.get("selector")
    if not is_readable(chosen):
        return [field.invalid("spec.selector", metadata.shown_selector(chosen), "invalid label selector")]
    found = template.matches(spec, "spec")
    found += template.validate(spec.get("template") or {}, "spec.template")
    return found + template.always(spec.get("template"), "spec.template", "ReplicaSet")


def is_readable(selector: Object | None) -> bool:
    """Tell whether a selector can be made of this one."""
    return not metadata.label_selector(selector, "")


def _strategy(strategy: Object) -> list[FieldError]:
    path, kind, rolling = "spec.strategy", strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [field.forbidden(f"{path}.rollingUpdate", detail)] if rolling is not None else []
    if kind != "RollingUpdate":
        shown = field.Struct({"Type": kind or "", "RollingUpdate": shown_rolling(rolling)})
        return [field.not_supported(path, shown, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [field.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")]
    found, both = [], []
    for key in ("maxUnavailable", "maxSurge"):
        value = rolling.get(key, 0)
        found += int_or_percent(value, f"{path}.rollingUpdate.{key}")
        both.append(value)
    if number_or_percent_of(both[0]) == 0 and number_or_percent_of(both[1]) == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        found.append(field.invalid(f"{path}.rollingUpdate.maxUnavailable", both[0], detail))
    if isinstance(both[0], str) and number_or_percent_of(both[0]) > 100:
        found.append(
            field.invalid(f"{path}.rollingUpdate.maxUnavailable", both[0], "must not be greater than 100%")
        )
    return found


def shown_rolling(rolling: Object | None) -> field.Struct | None:
    """Show a rolling update as upstream prints its internal struct."""
    if rolling is None:
        return None
    keys = (("maxUnavailable", "MaxUnavailable"), ("maxSurge", "MaxSurge"))
    return field.Struct({name: rolling.get(key, 0) for key, name in keys})


def int_or_percent(value: Any, path: str) -> list[FieldError]:
    """Check a number or a percentage."""
    if isinstance(value, str):
        return [field.invalid(path, value, message) for message in names.percent(value)]
    return metadata.non_negative(value, path)


def number_or_percent_of(value: Any) -> int:
    """Return the number, or the percentage as a number; 0 for text that is neither."""
    if isinstance(value, str):
        return 0 if names.percent(value) else int(value[:-1])
    return int(value)
