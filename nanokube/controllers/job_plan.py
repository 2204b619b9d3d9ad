"""What a Job's Pods need: which to create, which to delete, or how long to wait. Pure.

Source: pkg/controller/job/job_controller.go (manageJob), indexed_job_utils.go.
"""

import collections
import dataclasses
from collections.abc import Sequence, Set
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.controllers import job_failures, job_indexes, pods
from nanokube.controllers.job_view import TRACKING, Condition, Count, View, count, deadline_in, verdict

BURST = 500  # job_controller.go: MaxPodCreateDeletePerSync
INDEX_ENV = "JOB_COMPLETION_INDEX"


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One step. ending: the condition that ends the Job; then delete holds every active Pod.

    again_s: when to look again although nothing may have changed. frees: whether a Pod to delete loses its
    finalizer first, because it will not count.
    """

    count: Count
    ending: Condition | None = None
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[dict[str, Any], ...] = ()
    frees: bool = False
    again_s: float | None = None


def plan(view: View) -> Plan:
    """Decide one step of an unfinished Job."""
    so_far = count(view)
    ending = verdict(view, so_far)
    if ending is not None:
        return Plan(so_far, ending, delete=tuple(view.active))
    deadline_s = deadline_in(view)
    if objects.is_deleting(view.job):
        return Plan(so_far, again_s=deadline_s)
    active = view.active
    wanted = 0 if view.is_suspended else _wanted(view, so_far, len(active))
    surplus = _surplus(view, active, max(0, len(active) - wanted))[:BURST]
    if surplus or view.is_suspended:
        return Plan(so_far, delete=tuple(surplus), frees=True, again_s=deadline_s)
    blocked = len(view.terminating) if view.replaces_failed_only else 0
    missing = min(wanted - blocked - len(active), BURST)
    create, wait_s = _next(view, so_far, missing) if missing > 0 else ([], 0.0)
    waits = [wait for wait in (deadline_s, wait_s) if wait]
    return Plan(so_far, create=tuple(create), again_s=min(waits, default=None))


def is_complete(view: View, so_far: Count, active: int) -> bool:
    """Tell whether enough Pods have succeeded and none runs."""
    if view.completions is None:
        return so_far.succeeded > 0 and active == 0
    return so_far.succeeded >= view.completions and active == 0


def _wanted(view: View, so_far: Count, active: int) -> int:
    if view.completions is None:
        # A work queue: once one Pod has succeeded the others may end, but no new one starts.
        return active if so_far.succeeded else view.parallelism
    return max(0, min(view.parallelism, view.completions - so_far.succeeded))


def _next(view: View, so_far: Count, missing: int) -> tuple[list[dict[str, Any]], float]:
    """Give the Pods to create now, or none and the seconds until one may be."""
    if view.limit_per_index is None:
        wait_s = so_far.record.remaining_s(view.now)
        if wait_s > 0:
            return [], wait_s
    if not view.is_indexed:
        return [_pod(view)] * missing, 0.0
    taken = set(so_far.succeeded_indexes or ()) | set(so_far.failed_indexes or ()) | _held(view)
    indexes = job_indexes.first_free(taken, missing, view.completions or 0)
    waits = {index: _index_delay_s(view, so_far.waiting.get(index)) for index in indexes}
    ready = [index for index in indexes if waits[index] == 0]
    if not ready:
        return [], min(waits.values(), default=0.0)
    return [_indexed_pod(view, so_far, index) for index in ready], 0.0


def _held(view: View) -> Set[int]:
    holders = view.active + (view.terminating if view.replaces_failed_only else [])
    return {index for pod in holders if (index := job_indexes.of(pod)) is not None}


def _index_delay_s(view: View, failed: Object | None) -> float:
    if failed is None:
        return 0.0
    failures = job_indexes.all_failures(failed) + 1
    return job_failures.delay_s(failures, job_failures.finished_s(failed), view.now)


def _pod(view: View) -> dict[str, Any]:
    made = pods.from_template(view.spec["template"], view.job)
    finalizers = made["metadata"]["finalizers"]
    made["metadata"]["finalizers"] = [*(name for name in finalizers if name != TRACKING), TRACKING]
    return made


def _indexed_pod(view: View, so_far: Count, index: int) -> dict[str, Any]:
    made, name = _pod(view), objects.name(view.job)
    meta, suffix = made["metadata"], f"-{index}-"
    meta["generateName"] = name[: pods.LONGEST_PREFIX - len(suffix)] + suffix
    meta["labels"][job_indexes.INDEX] = str(index)
    meta["annotations"][job_indexes.INDEX] = str(index)
    if view.limit_per_index is not None:
        meta["annotations"].update(_failure_annotations(view, so_far.waiting.get(index)))
    made["spec"]["hostname"] = f"{name}-{index}"
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{job_indexes.INDEX}']"}}
    for container in [*made["spec"].get("initContainers", ()), *made["spec"]["containers"]]:
        if all(variable["name"] != INDEX_ENV for variable in container.get("env") or ()):
            container["env"] = [*(container.get("env") or ()), {"name": INDEX_ENV, "valueFrom": field}]
    return made


def _failure_annotations(view: View, before: Object | None) -> dict[str, str]:
    """Carry an index's failures from the failed Pod to its successor."""
    if before is None:
        return {job_indexes.FAILURES: "0"}
    counts = job_failures.judge(view.job, before).counts
    ignored = job_indexes.ignored_failures(before) + (not counts)
    found = {job_indexes.FAILURES: str(job_indexes.failures(before) + counts)}
    return {**found, job_indexes.IGNORED_FAILURES: str(ignored)} if ignored else found


def _surplus(view: View, active: Sequence[dict[str, Any]], at_least: int) -> list[dict[str, Any]]:
    """Choose Pods to delete: of an index only one stays, and none of an index beyond the completions."""
    per_node = collections.Counter(objects.spec(pod).get("nodeName") for pod in active)

    def rank(pod: Object) -> Any:
        return pods.deletion_rank(pod, per_node[objects.spec(pod).get("nodeName")], view.now)

    ranked = sorted(active, key=rank)
    surplus: list[dict[str, Any]] = []
    if view.is_indexed:
        seen: set[int] = set()
        for pod in reversed(ranked):
            index = view.index(pod)
            if index is None or index in seen:
                surplus.append(pod)
            else:
                seen.add(index)
    chosen = {id(pod) for pod in surplus}
    rest = [pod for pod in ranked if id(pod) not in chosen]
    return [*surplus, *rest[: max(0, at_least - len(surplus))]]
