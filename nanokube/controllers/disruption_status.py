"""How many Pods of a disruption budget may be ended now. Pure.

Source: pkg/controller/disruption/disruption.go, component-helpers apps/poddisruptionbudget/helpers.go.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.client.events import EventType
from nanokube.controllers import pods, shares

DELETION_TIMEOUT_S = 120.0  # disruption.go: DeletionTimeout
ALLOWED = "DisruptionAllowed"

# How many Pods a Pod's controller (an owner reference) wants: (UID of who decides, count); None: unknown.
ScaleOf = Callable[[Object, str], tuple[str, int] | None]


class UnknownScaleError(ValueError):
    """Some Pod's controller tells no scale."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The status, what to tell about the budget, Pods that outlived their eviction, when to look again."""

    status: dict[str, Any]
    events: tuple[tuple[EventType, str, str], ...] = ()
    undeleted: tuple[Object, ...] = ()
    again_s: float | None = None


def judge(budget: Object, found: Sequence[Object], scale_of: ScaleOf, now: float) -> Verdict:
    """Count the budget's Pods."""
    events: list[tuple[EventType, str, str]] = []
    if not found:
        events.append(("Normal", "NoPods", "No matching pods found"))
    disrupted, undeleted, again_s = _disrupted(budget, found, now)
    try:
        expected, desired, has_strays = _expected(budget, found, scale_of)
    except UnknownScaleError as err:
        message = f"Failed to calculate the number of expected pods: {err}"
        events.append(("Warning", "CalculateExpectedPodCountFailed", message))
        return Verdict(failed(budget, str(err), now), tuple(events), undeleted, again_s)
    if has_strays:
        events.append(("Warning", "UnmanagedPods", _unmanaged(budget)))
    healthy = sum(
        pods.is_ready(pod) and not objects.is_deleting(pod) and objects.name(pod) not in disrupted
        for pod in found
    )
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: dict[str, Any] = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": objects.generation(budget),
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    reason = "SufficientPods" if allowed > 0 else "InsufficientPods"
    status["conditions"] = _conditions(budget, allowed > 0, reason, "", now)
    return Verdict(status, tuple(events), undeleted, again_s)


def failed(budget: Object, message: str, now: float) -> dict[str, Any]:
    """Build the status that allows nothing, because nothing is known."""
    conditions = _conditions(budget, False, "SyncFailed", message, now)
    counts = {"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}
    return {**counts, **objects.status(budget), "disruptionsAllowed": 0, "conditions": conditions}


def _expected(budget: Object, found: Sequence[Object], scale_of: ScaleOf) -> tuple[int, int, bool]:
    """Give (expected, desired healthy, whether Pods without a controller were met where a scale counts)."""
    spec = objects.spec(budget)
    most_away, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most_away is not None:
        expected, strays = _scale(found, scale_of)
        return expected, max(0, expected - shares.resolve(most_away, expected, up=True)), strays
    if isinstance(least, str):
        expected, strays = _scale(found, scale_of)
        return expected, shares.resolve(least, expected, up=True), strays
    return (len(found), int(least), False) if least is not None else (0, 0, False)


def _scale(found: Sequence[Object], scale_of: ScaleOf) -> tuple[int, bool]:
    scales: dict[str, int] = {}
    strays = False
    for pod in found:
        reference = objects.controller_of(pod)
        if reference is None:
            strays = True
            continue
        scale = scale_of(reference, objects.namespace(pod))
        if scale is None:
            raise UnknownScaleError(f'found no controllers for pod "{objects.name(pod)}"')
        scales[scale[0]] = scale[1]
    return sum(scales.values()), strays


def _disrupted(
    budget: Object, found: Sequence[Object], now: float
) -> tuple[dict[str, str], tuple[Object, ...], float | None]:
    """Give the evicted Pods that have not begun to go, those that never did, and the next deadline."""
    noted = objects.status(budget).get("disruptedPods") or {}
    kept: dict[str, str] = {}
    undeleted: list[Object] = []
    waits: list[float] = []
    for pod in found:
        since = noted.get(objects.name(pod))
        if since is None or objects.is_deleting(pod):
            continue
        left_s = timestamps.parse(since) + DELETION_TIMEOUT_S - now
        if left_s < 0:
            undeleted.append(pod)
        else:
            kept[objects.name(pod)] = since
            waits.append(left_s + 0.001)
    return kept, tuple(undeleted), min(waits, default=None)


def _conditions(budget: Object, is_true: bool, reason: str, message: str, now: float) -> list[Any]:
    status = "True" if is_true else "False"
    before = objects.condition(budget, ALLOWED)
    changed = before is None or before.get("status") != status
    since = timestamps.format_time(now) if changed or before is None else before["lastTransitionTime"]
    new = {
        "type": ALLOWED,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": objects.generation(budget),
    }
    return [*(each for each in objects.conditions(budget) if each["type"] != ALLOWED), new]


def _unmanaged(budget: Object) -> str:
    return (
        "Pods selected by this PodDisruptionBudget (selector: "
        f"{objects.spec(budget).get('selector')}) were found to be unmanaged. As a result, the status of the "
        "PDB cannot be calculated correctly, which may result in undefined behavior. To account for these "
        'pods please set ".spec.minAvailable" field of the PDB to an integer value.'
    )
