"""A Job's status, and which of its Pods may lose their finalizer. Pure.

A Pod is counted once: its UID goes to status.uncountedTerminatedPods, then its finalizer off, then the UID
becomes one more in the counter. A crash between two of these writes loses or repeats nothing.
Source: pkg/controller/job/job_controller.go (trackJobStatusAndRemoveFinalizers).
"""

import dataclasses
from collections.abc import Set
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.controllers import job_failures, job_indexes, pods
from nanokube.controllers.job_view import Condition, Count, View, condition

MOST_UNCOUNTED = 500  # job_controller.go: MaxUncountedPods


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a step left: numbers of Pods, and the condition that ends the Job, if it does."""

    active: int
    ready: int
    terminating: int
    ending: Condition | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Tracked:
    """The status to write before the finalizers of free go."""

    status: dict[str, Any]
    free: tuple[dict[str, Any], ...]
    tracked: frozenset[str]


def begun(view: View, *, managed: bool) -> tuple[dict[str, Any], str]:
    """Set startTime and condition Suspended; give the status and the event's reason ("" for none).

    managed: whether this step looked after the Pods; only then is it told that they are suspended.
    """
    status: dict[str, Any] = dict(objects.status(view.job))
    if not status.get("startTime") and not view.is_suspended:
        status["startTime"] = timestamps.format_time(view.now)
    if not managed:
        return status, ""
    current = objects.condition(view.job, "Suspended")
    if view.is_suspended and (current is None or current["status"] != "True"):
        new = condition("Suspended", "JobSuspended", "Job suspended", view.now)
        reason = "Suspended"
        status.pop("startTime", None)
    elif not view.is_suspended and current is not None and current["status"] == "True":
        new = condition("Suspended", "JobResumed", "Job resumed", view.now, "False")
        reason = "Resumed"
        status["startTime"] = timestamps.format_time(view.now)
    else:
        return status, ""
    others = [each for each in status.get("conditions") or () if each["type"] != "Suspended"]
    status["conditions"] = [*others, new]
    return status, reason


def track(view: View, so_far: Count, outcome: Outcome, begun_status: Object) -> Tracked:
    """Name the Pods that end with this step, and count those that have ended for good."""
    tracked = frozenset(objects.uid(pod) for pod in view.pods if view.is_tracked(pod))
    status = counted_up(begun_status, tracked)
    uncounted = {
        which: list((status.get("uncountedTerminatedPods") or {}).get(which) or ())
        for which in ("succeeded", "failed")
    }
    free: list[dict[str, Any]] = []
    done = job_indexes.parse(status.get("completedIndexes") or "", view.completions or 0)
    new_done: set[int] = set()
    for pod in sorted(view.pods, key=lambda each: view.index(each) or 0) if view.is_indexed else view.pods:
        if not view.is_tracked(pod) or not _may_free(view, so_far, outcome, pod):
            continue
        free.append(pod)
        _name(view, outcome, pod, uncounted, done, new_done)
        if len(new_done) + sum(map(len, uncounted.values())) >= MOST_UNCOUNTED:
            break
    status["uncountedTerminatedPods"] = {which: uids for which, uids in uncounted.items() if uids}
    if view.is_indexed:
        done = done | new_done | (so_far.succeeded_indexes or set())
        _put(status, "succeeded", len(done))
        _put(status, "completedIndexes", job_indexes.show(done))
        if so_far.failed_indexes is not None:
            status["failedIndexes"] = job_indexes.show(so_far.failed_indexes)
    _put(status, "active", outcome.active)
    status["ready"], status["terminating"] = outcome.ready, outcome.terminating
    if outcome.ending is not None and not _has(status, outcome.ending["type"]):
        status["conditions"] = [*(status.get("conditions") or ()), outcome.ending]
    return Tracked(status, tuple(free), tracked)


def settled(view: View, status: Object, tracked: Set[str], ending: Condition | None) -> dict[str, Any]:
    """Count the Pods whose finalizer is off; end the Job when nothing of it is left to wait for."""
    final = counted_up(status, tracked)
    if ending is None or any(final["uncountedTerminatedPods"].values()) or final.get("terminating"):
        return final
    type_ = "Complete" if ending["type"] == "SuccessCriteriaMet" else "Failed"
    end = condition(type_, ending["reason"], ending["message"], view.now)
    final["conditions"] = [*(final.get("conditions") or ()), end]
    if type_ == "Complete":
        final["completionTime"] = end["lastTransitionTime"]
    return final


def counted_up(status: Object, tracked: Set[str]) -> dict[str, Any]:
    """Turn the uncounted UIDs whose Pods are tracked no more into numbers."""
    changed: dict[str, Any] = dict(status)
    uncounted = dict(changed.get("uncountedTerminatedPods") or {})
    for which in ("succeeded", "failed"):
        uids = list(uncounted.get(which) or ())
        uncounted[which] = [uid for uid in uids if uid in tracked]
        _put(changed, which, int(changed.get(which) or 0) + len(uids) - len(uncounted[which]))
    changed["uncountedTerminatedPods"] = {which: uids for which, uids in uncounted.items() if uids}
    return changed


def _may_free(view: View, so_far: Count, outcome: Outcome, pod: Object) -> bool:
    if objects.is_deleting(view.job) or outcome.ending is not None or pods.phase(pod) == "Succeeded":
        return True
    if not view.is_failed(pod):
        return False
    return all(objects.uid(kept) != objects.uid(pod) for kept in so_far.waiting.values())


def _name(
    view: View,
    outcome: Outcome,
    pod: Object,
    uncounted: dict[str, list[str]],
    done: Set[int],
    new_done: set[int],
) -> None:
    """Put an ended Pod where it counts: among the UIDs, or its index among the completed ones."""
    uid, index = objects.uid(pod), view.index(pod)
    if pods.phase(pod) == "Succeeded" and uid not in uncounted["failed"]:
        if view.is_indexed:
            if index is not None and index not in done:
                new_done.add(index)
        elif uid not in uncounted["succeeded"]:
            uncounted["succeeded"].append(uid)
        return
    failing = outcome.ending is not None and outcome.ending["type"] != "SuccessCriteriaMet"
    if not (view.is_failed(pod) or failing) or uid in uncounted["failed"]:
        return
    if (not view.is_indexed or index is not None) and job_failures.judge(view.job, pod).counts:
        uncounted["failed"].append(uid)


def _has(status: Object, type_: str) -> bool:
    return any(each["type"] == type_ and each["status"] == "True" for each in status.get("conditions") or ())


def _put(status: dict[str, Any], field: str, value: int | str) -> None:
    status.pop(field, None)
    if value:
        status[field] = value
