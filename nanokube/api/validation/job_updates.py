"""What of a Job may change, and how its status may go on. Pure.

A rule about a part of the status is asked when that part changes: whoever resizes a Job breaks some of them
until the controller has caught up.
Source: pkg/apis/batch/validation/validation.go, pkg/registry/batch/job/strategy.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nanokube.api import field, objects, timestamps
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import job_policies, metadata

_IMMUTABLE: Final = (
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)
_COUNTS: Final = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS: Final = "status.conditions"
_TERMINAL: Final = ("Failed", "Complete", "FailureTarget")


def validate(new: Object, old: Object) -> list[FieldError]:
    """Check what of a Job may not change."""
    spec, before = objects.spec(new), objects.spec(old)
    found = _completions(spec, before)
    found += metadata.immutable(spec.get("selector"), before.get("selector"), "spec.selector")
    found += _template(spec.get("template") or {}, before.get("template") or {}, old)
    for key in _IMMUTABLE:
        found += metadata.immutable(spec.get(key), before.get(key), f"spec.{key}")
    return found


def _completions(spec: Object, before: Object) -> list[FieldError]:
    """Only an Indexed Job may be resized, and completions and parallelism together."""
    path, count = "spec.completions", spec.get("completions")
    if spec.get("completionMode") != "Indexed":
        return metadata.immutable(count, before.get("completions"), path)
    if count in (None, before.get("completions"), spec.get("parallelism")):
        return []
    return [field.invalid(path, count, "can only be modified in tandem with spec.parallelism")]


def _template(template: Object, before: Object, old: Object) -> list[FieldError]:
    """While a Job is suspended and has no Pods, its containers' resources and where it runs may change."""
    path, is_suspended = "spec.template", objects.spec(old).get("suspend")
    is_idle = not objects.status(old).get("startTime") or objects.is_condition_true(old, "Suspended")
    if not is_suspended or not is_idle or objects.status(old).get("active"):
        return metadata.immutable(template, before, path)
    pod, pod_before = _without_placement(objects.spec(template)), _without_placement(objects.spec(before))
    for key in ("containers", "initContainers"):
        _take_resources(pod_before, pod, key)
    if pod == pod_before:
        return []
    return [field.invalid(f"{path}.spec", objects.spec(template), metadata.IMMUTABLE)]


def _without_placement(pod: Object) -> dict[str, Any]:
    kept = {k: v for k, v in pod.items() if k not in ("nodeSelector", "tolerations", "schedulingGates")}
    affinity = {k: v for k, v in (kept.pop("affinity", None) or {}).items() if k != "nodeAffinity"}
    return {**kept, "affinity": affinity} if affinity else kept


def _take_resources(before: dict[str, Any], pod: Object, key: str) -> None:
    """Give containers that are still called as they were the resources that they are to have."""
    old, new = before.get(key) or [], pod.get(key) or []
    if not old or len(old) != len(new):
        return
    before[key] = [
        {**{k: v for k, v in was.items() if k != "resources"}, **_resources(now)}
        if was.get("name") == now.get("name")
        else was
        for was, now in zip(old, new, strict=True)
    ]


def _resources(container: Object) -> dict[str, Any]:
    return {"resources": container["resources"]} if "resources" in container else {}


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a Job, whose controller may be anybody's (spec.managedBy)."""
    status = objects.status(new)
    found = [e for key in _COUNTS for e in metadata.non_negative(status.get(key), f"status.{key}")]
    found += _uncounted(status.get("uncountedTerminatedPods") or {})
    found += [
        *_contradictions(new, old),
        *_completion(new, old),
        *_premature(new, old),
        *_finished(new, old),
        *_indexes(new, old),
    ]
    ready, active = status.get("ready"), status.get("active") or 0
    if ready is not None and ready > active and _changed(new, old, "ready", "active"):
        found.append(field.invalid("status.ready", ready, "cannot set more ready pods than active"))
    if _changes_end(new, old) or _changed(new, old, "terminating"):
        found += _after_end(new, "terminating")
    return [*found, *_criteria(new), *_backwards(new, old)]


def _uncounted(uncounted: Object) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for key in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(key) or ()):
            path = f"status.uncountedTerminatedPods.{key}[{index}]"
            if not uid:
                found.append(field.invalid(path, uid, "must not be empty"))
            elif uid in seen:
                found.append(field.duplicate(path, uid))
            seen.add(uid)
    return found


def _contradictions(new: Object, old: Object) -> Iterator[FieldError]:
    if not objects.is_condition_true(new, "Complete"):
        return
    if _turned(new, old, "Complete", "Failed") and objects.is_condition_true(new, "Failed"):
        yield _refused("cannot set Complete=True and Failed=true conditions")
    if _turned(new, old, "Complete", "FailureTarget") and objects.is_condition_true(new, "FailureTarget"):
        yield _refused("cannot set Complete=True and FailureTarget=true conditions")


def _completion(new: Object, old: Object) -> Iterator[FieldError]:
    path, status = "status.completionTime", objects.status(new)
    started, completed = status.get("startTime"), status.get("completionTime")
    if _turned(new, old, "Complete") or _changed(new, old, "completionTime"):
        is_complete = objects.is_condition_true(new, "Complete")
        if completed and not is_complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            yield field.invalid(path, completed, detail)
        if is_complete and not completed:
            yield field.required(path, "completionTime is required for Complete jobs")
    is_changed = _changed(new, old, "startTime", "completionTime")
    if is_changed and started and completed and timestamps.parse(completed) < timestamps.parse(started):
        yield field.invalid(path, completed, "must be equal to or after `startTime`")


def _premature(new: Object, old: Object) -> Iterator[FieldError]:
    """Nothing ends before it is known how it will."""
    for end, foreseen, also in (
        ("Failed", "FailureTarget", _changed(new, old, "failedIndexes")),
        ("Complete", "SuccessCriteriaMet", _turned(new, old, "SuccessCriteriaMet")),
    ):
        is_asked = also or _turned(new, old, end)
        if is_asked and objects.is_condition_true(new, end) and not objects.is_condition_true(new, foreseen):
            yield _refused(f"cannot set {end}=True condition without the {foreseen}=true condition")


def _finished(new: Object, old: Object) -> Iterator[FieldError]:
    """Check what a Job that has ended has left."""
    status, is_changed = objects.status(new), _changes_end(new, old)
    if is_changed or _changed(new, old, "active"):
        yield from _after_end(new, "active")
    if not _has_ended(new):
        return
    is_started = bool(status.get("startTime"))
    spec = objects.spec(new)
    is_empty = spec.get("suspend") and spec.get("completions") == 0
    if (is_changed or _changed(new, old, "startTime")) and not is_empty and not is_started:
        yield field.required("status.startTime", "startTime is required for finished job")
    uncounted = status.get("uncountedTerminatedPods") or {}
    if any(uncounted.values()) and (is_changed or _changed(new, old, "uncountedTerminatedPods")):
        shown = field.Struct({key: uncounted.get(key.lower()) for key in ("Succeeded", "Failed")})
        yield field.invalid("status.uncountedTerminatedPods", shown, "must be empty for finished job")


def _after_end(new: Object, key: str) -> Iterator[FieldError]:
    count = objects.status(new).get(key) or 0
    if count > 0 and _has_ended(new):
        yield field.invalid(f"status.{key}", count, f"{key}>0 is invalid for finished job")


def _indexes(new: Object, old: Object) -> Iterator[FieldError]:
    spec, status = objects.spec(new), objects.status(new)
    completions, limit = spec.get("completions"), spec.get("backoffLimitPerIndex")
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    is_completed_new = _changed(new, old, "completedIndexes")
    is_failed_new = _changed(new, old, "failedIndexes")
    for key, text, is_read in (
        ("completedIndexes", completed, is_completed_new),
        ("failedIndexes", failed or "", is_failed_new and limit is not None),
    ):
        problem = _index_problem(text, completions) if is_read and completions is not None else ""
        if problem:
            yield field.invalid(f"status.{key}", text, f"error parsing {key}: {problem}")
    if is_completed_new and completed and spec.get("completionMode") != "Indexed":
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield field.invalid("status.completedIndexes", completed, detail)
    if failed is None:
        return
    if is_failed_new and limit is None:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield field.invalid("status.failedIndexes", failed, detail)
    if (is_completed_new or is_failed_new) and completions is not None:
        common = job_policies.first_common(completed, failed, completions)
        if common is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {common}"
            yield field.invalid("status.failedIndexes", failed, detail)


def _index_problem(text: str, completions: int) -> str:
    try:
        job_policies.count_indexes(text, completions)
    except ValueError as err:
        return str(err)
    return ""


def _criteria(new: Object) -> Iterator[FieldError]:
    if objects.is_condition_true(new, "SuccessCriteriaMet"):
        for other in ("Failed", "FailureTarget"):
            if objects.is_condition_true(new, other):
                yield _refused(f"cannot set SuccessCriteriaMet=True and {other}=true conditions")
    elif objects.spec(new).get("successPolicy") is not None and objects.is_condition_true(new, "Complete"):
        rule = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        yield _refused(rule)


def _backwards(new: Object, old: Object) -> Iterator[FieldError]:
    """Check that what has ended stays so, and that counters and times go one way."""
    status, before, spec = objects.status(new), objects.status(old), objects.spec(new)
    for type_ in _TERMINAL:
        if objects.is_condition_true(old, type_) and not objects.is_condition_true(new, type_):
            yield _refused(f"cannot disable the terminal {type_}=True condition")
    is_elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get(
        "parallelism"
    )
    for key in ("failed",) if is_elastic else ("failed", "succeeded"):
        if (status.get(key) or 0) < (before.get(key) or 0):
            detail = f"cannot decrease the {key} counter"
            yield field.invalid(f"status.{key}", status.get(key) or 0, detail)
    ended = before.get("completionTime")
    if ended and status.get("completionTime") not in (None, ended):
        yield field.invalid("status.completionTime", status["completionTime"], metadata.IMMUTABLE)
    resumed = objects.condition(new, "Suspended") or {}
    is_resuming = objects.is_condition_true(old, "Suspended") and resumed.get("status") == "False"
    started = before.get("startTime")
    if started and started != status.get("startTime") and not spec.get("suspend") and not is_resuming:
        detail = "field is immutable for unsuspended job once set"
        yield field.invalid("status.startTime", status.get("startTime"), detail)
    was_met, is_met = (objects.is_condition_true(each, "SuccessCriteriaMet") for each in (old, new))
    if was_met and not is_met:
        yield _refused("cannot disable the SuccessCriteriaMet=True condition")
    if is_met and not was_met and objects.is_condition_true(old, "Complete"):
        rule = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield _refused(rule)


def _refused(detail: str) -> FieldError:
    return field.invalid(_CONDITIONS, field.OMITTED, detail)


def _changed(new: Object, old: Object, *keys: str) -> bool:
    status, before = objects.status(new), objects.status(old)
    return any((status.get(key) or None) != (before.get(key) or None) for key in keys)


def _turned(new: Object, old: Object, *types: str) -> bool:
    return any(objects.is_condition_true(new, t) != objects.is_condition_true(old, t) for t in types)


def _has_ended(job: Object) -> bool:
    return objects.is_condition_true(job, "Complete") or objects.is_condition_true(job, "Failed")


def _changes_end(new: Object, old: Object) -> bool:
    return _has_ended(new) != _has_ended(old)
