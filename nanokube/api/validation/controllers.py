"""Validation of DaemonSets, StatefulSets, ReplicationControllers, disruption budgets. Pure.

Source: pkg/apis/{apps,core,policy}/validation/validation.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects, selectors
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names, pod_annotations, storage, template, workloads

_STATEFUL_MUTABLE: Final = (
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
)
_STRATEGIES: Final = ("OnDelete", "RollingUpdate")


def validate_daemon_set(obj: Object) -> list[FieldError]:
    """Check a DaemonSet."""
    spec = objects.spec(obj)
    found = metadata.label_selector(spec.get("selector"), "spec.selector")
    found += template.matches(spec, "spec")
    found += workloads.not_empty(spec.get("selector"), "daemonset")
    found += template.validate(spec.get("template") or {}, "spec.template")
    found += template.always(spec.get("template"), "spec.template", "DaemonSet")
    found += metadata.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    found += _daemon_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    return found + metadata.non_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")


def _daemon_strategy(strategy: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if strategy.get("type") not in _STRATEGIES:
        rolling = workloads.shown_rolling(strategy.get("rollingUpdate"))
        shown = field.Struct({"Type": strategy.get("type") or "", "RollingUpdate": rolling})
        return [field.not_supported(path, shown, ("RollingUpdate", "OnDelete"))]
    if strategy["type"] == "OnDelete":
        return found
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return [*found, field.required(f"{path}.rollingUpdate")]
    values = []
    for key in ("maxUnavailable", "maxSurge"):
        where = f"{path}.rollingUpdate.{key}"
        values.append(rolling.get(key, 0))
        found += workloads.int_or_percent(values[-1], where) + _at_most_all(values[-1], where)
    unavailable, surge = (workloads.number_or_percent_of(v) for v in values)
    if unavailable and surge:
        detail = "may not be set when maxUnavailable is non-zero"
        found.append(field.invalid(f"{path}.rollingUpdate.maxSurge", values[1], detail))
    elif not unavailable and not surge:
        detail = "cannot be 0 when maxSurge is 0"
        found.append(field.required(f"{path}.rollingUpdate.maxUnavailable", detail))
    return found


def validate_stateful_set(obj: Object) -> list[FieldError]:
    """Check a StatefulSet."""
    spec = objects.spec(obj)
    policy, found = spec.get("podManagementPolicy") or "", list[FieldError]()
    if policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        found.append(field.invalid("spec.podManagementPolicy", policy, detail))
    found += _stateful_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        if retention.get(key) not in ("Delete", "Retain"):
            where = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            found.append(field.not_supported(where, retention.get(key) or "", ("Retain", "Delete")))
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        found += storage.claim_spec(objects.spec(claim), f"spec.volumeClaimTemplates[{index}].spec")
    for key in ("replicas", "minReadySeconds"):
        found += metadata.non_negative(spec.get(key), f"spec.{key}")
    found += metadata.non_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    if spec.get("serviceName"):
        found += formats.each(names.dns_label, spec["serviceName"], "spec.serviceName")
    found += workloads.selector(spec, "statefulset") + _stateful_template(spec)
    return found + template.always(spec.get("template"), "spec.template", "StatefulSet")


def _stateful_strategy(strategy: Object, path: str) -> list[FieldError]:
    rolling, kind, found = strategy.get("rollingUpdate"), strategy.get("type"), list[FieldError]()
    shown = None if rolling is None else _rolling(rolling)
    if not kind:
        return [field.required(path)]
    if kind not in _STRATEGIES:
        whole = field.Struct({"Type": kind, "RollingUpdate": shown})
        return [field.invalid(path, whole, "must be 'RollingUpdate' or 'OnDelete'")]
    if kind == "OnDelete":
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        return [] if rolling is None else [field.invalid(f"{path}.rollingUpdate", shown, detail)]
    if rolling is None:
        return []
    found += metadata.non_negative(rolling.get("partition"), f"{path}.rollingUpdate.partition")
    value, where = rolling.get("maxUnavailable"), f"{path}.rollingUpdate.maxUnavailable"
    if value is None:
        return found
    found += workloads.int_or_percent(value, where)
    if workloads.number_or_percent_of(value) == 0:
        found.append(field.invalid(where, value, "cannot be 0"))
    return found + _at_most_all(value, where)


def _rolling(rolling: Object) -> field.Struct:
    shown = {"Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable")}
    return field.Struct(shown)


def _stateful_template(spec: Object) -> list[FieldError]:
    chosen, path = spec.get("selector"), "spec.template"
    if not workloads.is_readable(chosen):
        return [field.invalid("spec.selector", metadata.shown_selector(chosen), "")]
    made = _with_claims(spec)
    found = template.matches(spec, "spec")
    found += template.validate(made, path)
    labels, annotations = objects.labels(made), objects.annotations(made)  # upstream checks them twice
    found += metadata.labels(labels, f"{path}.labels")
    found += metadata.annotations(annotations, f"{path}.annotations")
    return found + pod_annotations.validate(annotations, objects.spec(made), f"{path}.annotations")


def _with_claims(spec: Object) -> Object:
    """Return the template as its Pods will be: with volumes of the claims, and names by the controller."""
    made = spec.get("template") or {}
    claims = dict.fromkeys(objects.name(claim) for claim in spec.get("volumeClaimTemplates") or ())
    volumes: list[Any] = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    pod = objects.spec(made)
    volumes += (volume for volume in pod.get("volumes") or () if volume.get("name") not in claims)
    kept = {key: value for key, value in pod.items() if key not in ("volumes", "hostname", "subdomain")}
    return {**made, "spec": {**kept, "volumes": volumes}}


def validate_stateful_set_update(new: Object, old: Object) -> list[FieldError]:
    """Check that only what may change did."""

    def fixed(obj: Object) -> dict[str, Any]:
        return {k: v for k, v in objects.spec(obj).items() if k not in _STATEFUL_MUTABLE}

    if fixed(new) == fixed(old):
        return []
    detail = (
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
        "'minReadySeconds' are forbidden"
    )
    return [field.forbidden("spec", detail)]


def validate_replication_controller(obj: Object) -> list[FieldError]:
    """Check a ReplicationController."""
    spec = objects.spec(obj)
    found = metadata.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    selector = spec.get("selector") or {}
    if not selector:
        found.append(field.required("spec.selector"))
    found += metadata.non_negative(spec.get("replicas"), "spec.replicas")
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
    if (
        selector
        and spec.get("template") is not None
        and not selectors.from_labels(selector).matches(labels or {})
    ):
        detail = "`selector` does not match template `labels`"
        found.append(field.invalid("spec.template.metadata.labels", labels, detail))
    found += template.validate(spec.get("template"), "spec.template")
    if spec.get("template") is None:
        return found
    return found + template.always(spec["template"], "spec.template", "ReplicationController")


def validate_pod_template(obj: Object) -> list[FieldError]:
    """Check a PodTemplate."""
    return template.validate(obj.get("template"), "template")


def validate_controller_revision(obj: Object) -> list[FieldError]:
    """Check a ControllerRevision."""
    found = metadata.non_negative(obj.get("revision"), "revision")
    return found if obj.get("data") is not None else [*found, field.required("data", "data is mandatory")]


def validate_new_controller_revision(obj: Object) -> list[FieldError]:
    """Check that the data is an object."""
    if obj.get("data") is None or isinstance(obj["data"], dict):
        return []
    return [field.required("data", "data must be a valid JSON object")]


def validate_controller_revision_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the data stayed."""
    return metadata.immutable(new.get("data"), old.get("data"), "data")


def validate_disruption_budget(obj: Object) -> list[FieldError]:
    """Check a PodDisruptionBudget."""
    spec, found = objects.spec(obj), list[FieldError]()
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        found.append(field.invalid("spec", _shown_budget(spec), detail))
    for key in ("minAvailable", "maxUnavailable"):
        if spec.get(key) is not None:
            found += workloads.int_or_percent(spec[key], f"spec.{key}") + _at_most_all(
                spec[key], f"spec.{key}"
            )
    found += metadata.label_selector(spec.get("selector"), "spec.selector")
    policy, known = spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget")
    if policy is not None and policy not in known:
        found.append(field.not_supported("spec.unhealthyPodEvictionPolicy", policy, known))
    return found


def _shown_budget(spec: Object) -> field.Struct:
    return field.Struct(
        {
            "MinAvailable": spec.get("minAvailable"),
            "Selector": metadata.shown_selector(spec.get("selector")),
            "MaxUnavailable": spec.get("maxUnavailable"),
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
    )


def _at_most_all(value: Any, path: str) -> list[FieldError]:
    if isinstance(value, str) and workloads.number_or_percent_of(value) > 100:
        return [field.invalid(path, value, "must not be greater than 100%")]
    return []
