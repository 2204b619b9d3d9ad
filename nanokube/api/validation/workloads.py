"""Validation of Deployments and ReplicaSets. Pure. Source: pkg/apis/apps/validation/validation.go."""

from __future__ import annotations

from typing import Any

from nanokube.api import field, objects, selectors
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names, pod_spec


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
    found = metadata.label_selector(chosen, "spec.selector")
    if not (chosen.get("matchLabels") or chosen.get("matchExpressions")):
        found.append(field.invalid("spec.selector", chosen, f"empty selector is invalid for {kind}"))
    return found


def _template(spec: Object) -> list[FieldError]:
    template = spec.get("template")
    if template is None:
        return [field.required("spec.template")]
    found = []
    labels = objects.labels(template)
    if spec.get("selector"):
        try:
            if not selectors.from_object(spec["selector"]).matches(labels):
                detail = "`selector` does not match template `labels`"
                found.append(field.invalid("spec.template.metadata.labels", dict(labels), detail))
        except (ValueError, KeyError):
            pass  # reported above
    found += metadata.labels(labels, "spec.template.metadata.labels")
    found += metadata.annotations(objects.annotations(template), "spec.template.metadata.annotations")
    pod = objects.spec(template)
    found += pod_spec.validate(pod, "spec.template.spec")
    if pod.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        found.append(field.forbidden("spec.template.spec.ephemeralContainers", detail))
    if pod.get("restartPolicy") != "Always":
        path = "spec.template.spec.restartPolicy"
        found.append(field.not_supported(path, pod.get("restartPolicy"), ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        found.append(field.forbidden("spec.template.spec.activeDeadlineSeconds", detail))
    return found


def _strategy(strategy: Object) -> list[FieldError]:
    path, kind, rolling = "spec.strategy", strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [field.forbidden(f"{path}.rollingUpdate", detail)] if rolling is not None else []
    if kind != "RollingUpdate":
        shown = field.Struct({"Type": kind or "", "RollingUpdate": rolling})
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
