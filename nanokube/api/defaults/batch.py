"""Defaults of Jobs and CronJobs. Pure. Source: pkg/apis/batch/v1/defaults.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.defaults import pod

_BACKOFF_LIMIT: Final = 6
_NO_LIMIT: Final = (1 << 31) - 1


def job(obj: dict[str, Any]) -> None:
    """Fill in a Job."""
    spec = obj.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _BACKOFF_LIMIT if spec.get("backoffLimitPerIndex") is None else _NO_LIMIT)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not (obj.setdefault("metadata", {}).get("labels")):
        obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    replaces = "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"
    spec.setdefault("podReplacementPolicy", replaces)
    spec.setdefault("manualSelector", False)
    _fill_shared(spec)


def cron_job(obj: dict[str, Any]) -> None:
    """Fill in a CronJob; its template gets only what every pod template gets."""
    spec = obj.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    _fill_shared((spec.get("jobTemplate") or {}).get("spec") or {})


def _fill_shared(spec: dict[str, Any]) -> None:
    pod.fill_template(spec.get("template"))
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"
