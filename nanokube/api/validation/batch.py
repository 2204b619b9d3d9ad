"""Validation of Jobs and CronJobs. Pure. Source: pkg/apis/batch/validation/validation.go."""

from __future__ import annotations

import zoneinfo
from typing import Any, Final

from nanokube.api import cron, field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, template

MAX_INDEXED_PARALLELISM: Final = 100_000
_NUMBERS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES: Final = ("Indexed", "NonIndexed")
_IMMUTABLE: Final = ("completions", "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex")
_POLICIES: Final = ("Allow", "Forbid", "Replace")
_MAX_CRON_NAME: Final = 52


def validate_job(obj: Object) -> list[FieldError]:
    """Check a Job."""
    spec = objects.spec(obj)
    found = _job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        return [*found, field.required("spec.selector")]
    found += metadata.label_selector(selector, "spec.selector")
    return found + template.matches(spec, "spec")


def _job_spec(spec: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key in _NUMBERS:
        found += metadata.non_negative(spec.get(key), f"{path}.{key}")
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        found.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    found += _mode(spec, path)
    pod = objects.spec(spec.get("template") or {})
    found += template.validate(spec.get("template"), f"{path}.template")
    policy, where = pod.get("restartPolicy") or "", f"{path}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        found.append(field.required(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        found.append(field.not_supported(where, policy, ("Never", "OnFailure")))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        found.append(
            field.invalid(where, policy, 'only "Never" is supported when podFailurePolicy is specified')
        )
    return found + _replacement(spec, path)


def _mode(spec: Object, path: str) -> list[FieldError]:
    mode, found = spec.get("completionMode") or "NonIndexed", list[FieldError]()
    if mode not in _MODES:
        found.append(field.not_supported(f"{path}.completionMode", mode, _MODES))
    if mode == "Indexed":
        if spec.get("completions") is None:
            found.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
        parallelism = spec.get("parallelism") or 0
        if parallelism > MAX_INDEXED_PARALLELISM:
            detail = (
                f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
            )
            found.append(field.invalid(f"{path}.parallelism", parallelism, detail))
        failed, completions = spec.get("maxFailedIndexes"), spec.get("completions")
        if failed is not None and completions is not None and failed > completions:
            detail = "must be less than or equal to completions"
            found.append(field.invalid(f"{path}.maxFailedIndexes", failed, detail))
        return found
    for key in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(key) is not None:
            found.append(field.invalid(f"{path}.{key}", spec[key], "requires indexed completion mode"))
    return found


def _replacement(spec: Object, path: str) -> list[FieldError]:
    policy = spec.get("podReplacementPolicy")
    allowed = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if policy is None or policy in allowed:
        return []
    return [field.not_supported(f"{path}.podReplacementPolicy", policy, allowed)]


def validate_job_update(new: Object, old: Object) -> list[FieldError]:
    """Check what of a Job may not change."""
    spec, before = objects.spec(new), objects.spec(old)
    found: list[FieldError] = []
    for key in _IMMUTABLE:
        if key == "completions" and _is_elastic(spec, before):
            continue
        found += metadata.immutable(spec.get(key), before.get(key), f"spec.{key}")
    is_waiting = before.get("suspend") and not objects.status(old).get("startTime")
    kept = _without_scheduling if is_waiting else _same
    return found + metadata.immutable(
        kept(spec.get("template")), kept(before.get("template")), "spec.template"
    )


def _is_elastic(spec: Object, before: Object) -> bool:
    """An Indexed Job may be resized if completions and parallelism change together."""
    return (
        spec.get("completionMode") == "Indexed"
        and spec.get("completions") is not None
        and before.get("completions") is not None
        and spec["completions"] == spec.get("parallelism")
        and (
            before["completions"] == before.get("parallelism") or spec["completions"] == before["completions"]
        )
    )


def _same(value: Any) -> Any:
    return value


def _without_scheduling(value: Any) -> Any:
    """Drop what a suspended Job may still change in its template."""
    value = value or {}
    meta = {k: v for k, v in (value.get("metadata") or {}).items() if k not in ("labels", "annotations")}
    dropped = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    pod = {k: v for k, v in (value.get("spec") or {}).items() if k not in dropped}
    for key in ("containers", "initContainers"):
        if key in pod:
            pod[key] = [{k: v for k, v in c.items() if k != "resources"} for c in pod[key]]
    return {**value, "metadata": meta, "spec": pod}


def validate_cron_job(obj: Object) -> list[FieldError]:
    """Check a CronJob."""
    spec, found = objects.spec(obj), list[FieldError]()
    schedule = spec.get("schedule") or ""
    if not schedule:
        found.append(field.required("spec.schedule"))
    else:
        problem = cron.problem(schedule)
        if problem:
            found.append(field.invalid("spec.schedule", schedule, problem))
        if "TZ" in schedule:
            detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            found.append(field.invalid("spec.schedule", schedule, detail))
    found += metadata.non_negative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds")
    found += _time_zone(spec.get("timeZone"))
    policy = spec.get("concurrencyPolicy") or ""
    if policy not in _POLICIES:
        found.append(field.not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    job = objects.spec(spec.get("jobTemplate") or {})
    found += _job_spec(job, "spec.jobTemplate.spec")
    if job.get("manualSelector"):
        found.append(field.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        found += metadata.non_negative(spec.get(key), f"spec.{key}")
    if len(objects.name(obj)) > _MAX_CRON_NAME:
        found.append(
            field.invalid(
                "metadata.name", objects.name(obj), f"must be no more than {_MAX_CRON_NAME} characters"
            )
        )
    return found


def _time_zone(zone: str | None) -> list[FieldError]:
    if zone is None:
        return []
    if not zone:
        return [field.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            field.invalid(
                "spec.timeZone",
                zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            )
        ]
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return [field.invalid("spec.timeZone", zone, f"unknown time zone {zone}")]
    return []
