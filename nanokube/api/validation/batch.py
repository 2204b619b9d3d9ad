"""Validation of Jobs and CronJobs. Pure. Source: pkg/apis/batch/validation/validation.go."""

from __future__ import annotations

import re
import zoneinfo
from typing import Final

from nanokube.api import cron, field, objects, selectors
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, job_policies, metadata, names, template, workloads

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
_MODES: Final = ("NonIndexed", "Indexed")
_PREFIX: Final = "batch.kubernetes.io/"
_MAX_MANAGER: Final = 63
_MAX_FAILED: Final = 100_000
_MANY: Final = 100_000
_MOST_OF_MANY: Final = 10_000
_POLICIES: Final = ("Allow", "Forbid", "Replace")
_MAX_CRON_NAME: Final = 52
_ZONE_PART: Final = r"[A-Za-z.\-_0-9+]{1,14}"


def validate_job(obj: Object) -> list[FieldError]:
    """Check a Job."""
    spec = objects.spec(obj)
    found = _generated(obj, spec) + _job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        found.append(field.required("spec.selector"))
    found += metadata.label_selector(selector, "spec.selector") + template.matches(spec, "spec")
    return found + _host_names(obj, spec)


def _generated(obj: Object, spec: Object) -> list[FieldError]:
    """Check that a Job selects its own Pods, unless the user says which."""
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    own = {"controller-uid": objects.uid(obj), "job-name": objects.name(obj)}
    own |= {f"{_PREFIX}{key}": value for key, value in own.items()}
    found, labels = list[FieldError](), objects.labels(spec.get("template") or {})
    for prefix in ("", _PREFIX):
        for name in ("controller-uid", "job-name"):
            key = f"{prefix}{name}"
            where = "spec.template.metadata.labels"
            if key not in labels:
                found.append(field.required(f"{where}[{key}]", f"must be '{own[key]}'"))
            elif labels[key] != own[key]:
                found.append(field.invalid(f"{where}[{key}]", dict(labels), f"must be '{own[key]}'"))
    if workloads.is_readable(spec["selector"]) and not selectors.from_object(spec["selector"]).matches(own):
        shown = metadata.shown_selector(spec["selector"])
        found.append(field.invalid("spec.selector", shown, "`selector` not auto-generated"))
    return found


def _host_names(obj: Object, spec: Object) -> list[FieldError]:
    """Check that the last Pod of an Indexed Job can have the host name that it will."""
    completions, name = spec.get("completions") or 0, objects.name(obj)
    if spec.get("completionMode") != "Indexed" or completions <= 0:
        return []
    last = f"{name}-{completions - 1}"
    if not names.dns_label(last):
        return []
    detail = f"will not able to create pod with invalid DNS label: {last}"
    return [field.invalid("metadata.name", name, detail)]


def _job_spec(spec: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key in _NUMBERS:
        found += metadata.non_negative(spec.get(key), f"{path}.{key}")
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        found.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    manager, where = spec.get("managedBy"), f"{path}.managedBy"
    if manager is not None:
        found += formats.domain_prefixed_path(manager, where)
        if len(manager.encode()) > _MAX_MANAGER:
            found.append(field.too_long(where, _MAX_MANAGER))
    found += _mode(spec, path) + job_policies.failure(spec, path)
    if spec.get("completionMode") == "Indexed":
        found += job_policies.success(spec, path)
    elif spec.get("successPolicy") is not None:
        shown = _shown_success(spec["successPolicy"])
        found.append(field.invalid(f"{path}.successPolicy", shown, "requires indexed completion mode"))
    found += _replacement(spec, path)
    found += template.validate(spec.get("template") or {}, f"{path}.template")
    policy = objects.spec(spec.get("template") or {}).get("restartPolicy") or ""
    where = f"{path}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        found.append(field.required(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        found.append(field.not_supported(where, policy, ("OnFailure", "Never")))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(field.invalid(where, policy, detail))
    return found


def _shown_success(policy: Object) -> field.Struct:
    rules = [
        {"SucceededIndexes": rule.get("succeededIndexes"), "SucceededCount": rule.get("succeededCount")}
        for rule in policy.get("rules") or ()
    ]
    return field.Struct({"Rules": rules or None})


def _mode(spec: Object, path: str) -> list[FieldError]:
    mode, found = spec.get("completionMode"), list[FieldError]()
    if mode is not None and mode not in _MODES:
        found.append(field.not_supported(f"{path}.completionMode", mode, _MODES))
    if mode == "Indexed":
        return found + _indexed(spec, path)
    if mode in (None, "NonIndexed"):
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                found.append(field.invalid(f"{path}.{key}", spec[key], "requires indexed completion mode"))
    return found


def _indexed(spec: Object, path: str) -> list[FieldError]:
    found, shown = list[FieldError](), "must be less than or equal to"
    completions, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    parallelism = spec.get("parallelism") or 0
    if completions is None:
        found.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism > MAX_INDEXED_PARALLELISM:
        detail = f"{shown} {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        found.append(field.invalid(f"{path}.parallelism", parallelism, detail))
    if failed is not None and completions is not None and failed > completions:
        found.append(field.invalid(f"{path}.maxFailedIndexes", failed, f"{shown} completions"))
    if failed is not None and failed > _MAX_FAILED:
        found.append(field.invalid(f"{path}.maxFailedIndexes", failed, f"{shown} {_MAX_FAILED}"))
    if (completions or 0) <= _MANY or spec.get("backoffLimitPerIndex") is None:
        return found
    if failed is None:
        detail = f"must be specified when completions is above {_MANY}"
        found.append(field.required(f"{path}.maxFailedIndexes", detail))
    limit = (
        f"{shown} {_MOST_OF_MANY} when completions are above {_MANY} and used with backoff limit per index"
    )
    for key, value in (("parallelism", parallelism), ("maxFailedIndexes", failed or 0)):
        if value > _MOST_OF_MANY:
            found.append(field.invalid(f"{path}.{key}", value, limit))
    return found


def _replacement(spec: Object, path: str) -> list[FieldError]:
    policy = spec.get("podReplacementPolicy")
    allowed = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if policy is None or policy in allowed:
        return []
    return [field.not_supported(f"{path}.podReplacementPolicy", policy, allowed)]


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
    if not policy:
        found.append(field.required("spec.concurrencyPolicy"))
    elif policy not in _POLICIES:
        found.append(field.not_supported("spec.concurrencyPolicy", policy, _POLICIES))
    job = objects.spec(spec.get("jobTemplate") or {})
    found += _job_spec(job, "spec.jobTemplate.spec")
    if job.get("selector") is not None:
        shown, detail = metadata.shown_selector(job["selector"]), "`selector` will be auto-generated"
        found.append(field.invalid("spec.jobTemplate.spec.selector", shown, detail))
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
    path = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [field.invalid(path, zone, "timeZone must be nil or non-empty string")]
    parts = zone.split("/")
    if any(p in (".", "..") or p[:1] == "-" or not re.fullmatch(_ZONE_PART, p) for p in parts):
        return [field.invalid(path, zone, f"unknown time zone {zone}")]
    found: list[FieldError] = []
    if zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        found.append(field.invalid(path, zone, detail))
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if zone != "Local":  # Go knows that one
            found.append(field.invalid(path, zone, f"unknown time zone {zone}"))
    return found
