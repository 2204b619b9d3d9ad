"""What one look at a Job shows: its Pods sorted out, how often it failed, whether it is over. Pure.

Source: pkg/controller/job/{job_controller,indexed_job_utils}.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.controllers import job_failures, job_indexes, pods

TRACKING = "batch.kubernetes.io/job-tracking"
Condition = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A Job with its Pods at a time.

    freed: UIDs of Pods whose finalizer was taken off, which the cache does not show yet.
    """

    job: Object
    pods: Sequence[dict[str, Any]]
    now: float
    record: job_failures.Record = job_failures.NO_FAILURES
    freed: Set[str] = frozenset()

    @property
    def spec(self) -> Object:
        return objects.spec(self.job)

    @property
    def completions(self) -> int | None:
        count = self.spec.get("completions")
        return None if count is None else int(count)

    @property
    def parallelism(self) -> int:
        count = self.spec.get("parallelism")
        return 1 if count is None else int(count)

    @property
    def is_indexed(self) -> bool:
        return self.spec.get("completionMode") == "Indexed"

    @property
    def is_suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def limit_per_index(self) -> int | None:
        limit = self.spec.get("backoffLimitPerIndex")
        return None if limit is None else int(limit)

    @property
    def replaces_failed_only(self) -> bool:
        """Whether a Pod must have ended, not only be ending, before another takes its place."""
        return self.spec.get("podReplacementPolicy") == "Failed" or bool(self.spec.get("podFailurePolicy"))

    @property
    def active(self) -> list[dict[str, Any]]:
        return [pod for pod in self.pods if pods.is_active(pod)]

    @property
    def terminating(self) -> list[dict[str, Any]]:
        return [pod for pod in self.pods if objects.is_deleting(pod) and not pods.is_terminal(pod)]

    def uncounted(self, which: str) -> list[str]:
        """Give the UIDs in status.uncountedTerminatedPods: which is "succeeded" or "failed"."""
        return list((objects.status(self.job).get("uncountedTerminatedPods") or {}).get(which) or ())

    def is_tracked(self, pod: Object) -> bool:
        """Tell whether a Pod still holds the finalizer that says it was not counted."""
        return TRACKING in objects.finalizers(pod) and objects.uid(pod) not in self.freed

    def index(self, pod: Object) -> int | None:
        """Give a Pod's completion index if it is a valid one."""
        found = job_indexes.of(pod)
        return found if found is not None and found < (self.completions or 0) else None

    def is_failed(self, pod: Object) -> bool:
        """Tell whether a Pod counts as failed."""
        if pods.phase(pod) == "Failed":
            return True
        ending = objects.is_deleting(pod) and pods.phase(pod) != "Succeeded"
        return ending and not self.replaces_failed_only

    def fresh(self, which: str) -> list[dict[str, Any]]:
        """Give the tracked Pods that "succeeded" or "failed" and are in no count yet."""
        known = set(self.uncounted(which))
        return [
            pod
            for pod in self.pods
            if self.is_tracked(pod)
            and objects.uid(pod) not in known
            and not (self.is_indexed and self.index(pod) is None)
            and (pods.phase(pod) == "Succeeded" if which == "succeeded" else self.is_failed(pod))
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """How far a Job is. The index sets are None where the Job has no such thing.

    waiting: the last failed Pod of each index that is to be tried again; it stays until its successor is
    made, for its annotations carry the count of failures.
    """

    succeeded: int
    failed: int
    record: job_failures.Record
    succeeded_indexes: frozenset[int] | None = None
    failed_indexes: frozenset[int] | None = None
    waiting: Mapping[int, dict[str, Any]] = dataclasses.field(default_factory=dict)


def count(view: View) -> Count:
    """Add what is in the status and what the Pods show beyond it."""
    status = objects.status(view.job)
    succeeded, failed = view.fresh("succeeded"), view.fresh("failed")
    counted = [pod for pod in failed if job_failures.judge(view.job, pod).counts]
    so_far = Count(
        int(status.get("succeeded") or 0) + len(succeeded) + len(view.uncounted("succeeded")),
        int(status.get("failed") or 0) + len(counted) + len(view.uncounted("failed")),
        view.record.after(succeeded, failed),
    )
    if not view.is_indexed:
        return so_far
    done = job_indexes.parse(status.get("completedIndexes") or "", view.completions or 0)
    done |= {
        index
        for pod in view.pods
        if pods.phase(pod) == "Succeeded"
        and TRACKING in objects.finalizers(pod)
        and (index := view.index(pod)) is not None
    }
    indexed = dataclasses.replace(so_far, succeeded=len(done), succeeded_indexes=frozenset(done))
    if view.limit_per_index is None:
        return indexed
    given_up = _given_up(view)
    return dataclasses.replace(indexed, failed_indexes=given_up, waiting=_waiting(view, done | given_up))


def _given_up(view: View) -> frozenset[int]:
    limit = view.limit_per_index or 0
    found = job_indexes.parse(objects.status(view.job).get("failedIndexes") or "", view.completions or 0)
    for pod in view.pods:
        index = view.index(pod)
        if index is None or TRACKING not in objects.finalizers(pod) or not view.is_failed(pod):
            continue
        verdict = job_failures.judge(view.job, pod)
        if verdict.action == "FailIndex" or (verdict.counts and job_indexes.failures(pod) >= limit):
            found.add(index)
    return frozenset(found)


def _waiting(view: View, over: Set[int]) -> dict[int, dict[str, Any]]:
    settled = over | {index for pod in view.active if (index := job_indexes.of(pod)) is not None}
    found: dict[int, dict[str, Any]] = {}

    def rank(pod: Object) -> tuple[int, float]:
        return job_indexes.all_failures(pod), job_failures.finished_s(pod)

    for pod in view.pods:
        index = view.index(pod)
        if index is None or index in settled or not view.is_tracked(pod) or not view.is_failed(pod):
            continue
        if index not in found or rank(found[index]) <= rank(pod):
            found[index] = pod
    return found


def verdict(view: View, so_far: Count) -> Condition | None:
    """Give the condition that ends the Job, now or as decided before: SuccessCriteriaMet or FailureTarget."""
    for decided in ("SuccessCriteriaMet", "FailureTarget"):
        if objects.is_condition_true(view.job, decided):
            return dict(objects.condition(view.job, decided) or {})
    return _failure(view, so_far) or _index_failure(view, so_far) or _early_success(view, so_far)


def _failure(view: View, so_far: Count) -> Condition | None:
    for pod in view.pods:
        judged = job_failures.judge(view.job, pod) if view.is_failed(pod) else job_failures.Verdict()
        if judged.action == "FailJob":
            return condition("FailureTarget", "PodFailurePolicy", judged.message, view.now)
    limit = view.spec.get("backoffLimit")
    limit = 6 if limit is None else int(limit)
    if so_far.failed > limit or _restarts_exceed(view, limit):
        message = "Job has reached the specified backoff limit"
        return condition("FailureTarget", "BackoffLimitExceeded", message, view.now)
    if deadline_in(view) == 0:
        message = "Job was active longer than specified deadline"
        return condition("FailureTarget", "DeadlineExceeded", message, view.now)
    return None


def deadline_in(view: View) -> float | None:
    """Give the seconds until activeDeadlineSeconds is over, 0 if it is; None without one."""
    limit = view.spec.get("activeDeadlineSeconds")
    if limit is None or view.is_suspended:
        return None
    start = objects.status(view.job).get("startTime")
    began = timestamps.parse(start) if start else view.now
    return max(0.0, began + int(limit) - view.now)


def _restarts_exceed(view: View, limit: int) -> bool:
    """Count restarts in place, which make no failed Pods."""
    if ((view.spec.get("template") or {}).get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        int(status.get("restartCount") or 0)
        for pod in view.pods
        if pods.phase(pod) in ("Running", "Pending")
        for field in ("initContainerStatuses", "containerStatuses")
        for status in objects.status(pod).get(field) or ()
    )
    return restarts >= max(1, limit)


def _index_failure(view: View, so_far: Count) -> Condition | None:
    if so_far.failed_indexes is None:
        return None
    failed, most = len(so_far.failed_indexes), view.spec.get("maxFailedIndexes")
    if most is not None and failed > int(most):
        message = "Job has exceeded the specified maximal number of failed indexes"
        return condition("FailureTarget", "MaxFailedIndexesExceeded", message, view.now)
    if failed and failed + so_far.succeeded >= (view.completions or 0):
        return condition("FailureTarget", "FailedIndexes", "Job has failed indexes", view.now)
    return None


def _early_success(view: View, so_far: Count) -> Condition | None:
    message = job_failures.success_rule(view.job, so_far.succeeded_indexes or frozenset())
    return condition("SuccessCriteriaMet", "SuccessPolicy", message, view.now) if message else None


def condition(type_: str, reason: str, message: str, now: float, status: str = "True") -> Condition:
    """Build a Job condition."""
    stamp = timestamps.format_time(now)
    return {
        "type": type_,
        "status": status,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def is_finished(job: Object) -> bool:
    """Tell whether a Job is Complete or Failed."""
    return any(objects.is_condition_true(job, type_) for type_ in ("Complete", "Failed"))
