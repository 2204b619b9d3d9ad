"""What controllers ask of Pods. Pure.

Source: pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go.
"""

import math
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}
# A Pod's name is at most 253 long, 5 of it random; the prefix is cut so that it fits (names/generate.go).
LONGEST_PREFIX = 63 - 5


def phase(pod: Object) -> str:
    """Give status.phase, Pending if unset."""
    return objects.status(pod).get("phase") or "Pending"


def is_terminal(pod: Object) -> bool:
    """Tell whether every container has ended for good."""
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Tell whether a Pod counts as a replica: neither ended nor being deleted."""
    return not is_terminal(pod) and not objects.is_deleting(pod)


def is_ready(pod: Object) -> bool:
    """Tell whether condition Ready is True."""
    return objects.is_condition_true(pod, "Ready")


def available_in(pod: Object, min_ready_s: int, now: float) -> float | None:
    """Give the seconds until a Pod has been ready for min_ready_s: 0 if it has, None if it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready_s <= 0:
        return 0.0
    since = (objects.condition(pod, "Ready") or {}).get("lastTransitionTime")
    if not since:
        return None
    return max(0.0, timestamps.parse(since) + min_ready_s - now)


def is_available(pod: Object, min_ready_s: int, now: float) -> bool:
    """Tell whether a Pod has been ready for min_ready_s seconds."""
    return available_in(pod, min_ready_s, now) == 0.0


def deletion_rank(pod: Object, neighbours: int, now: float) -> tuple[Any, ...]:
    """Give a sort key: the lowest Pod goes first when replicas are too many.

    neighbours: how many active Pods of the same owner run on this Pod's node.
    """
    ready = is_ready(pod)
    return (
        bool(objects.spec(pod).get("nodeName")),
        PHASE_RANK.get(phase(pod), 2),
        ready,
        _cost(pod),
        -neighbours,
        _age_bucket(_ready_since(pod), now) if ready else 0,
        -restarts(pod),
        _age_bucket(objects.creation_timestamp(pod), now),
        objects.uid(pod),
    )


def restarts(pod: Object) -> int:
    """Give the most restarts of any container."""
    found = objects.status(pod).get("containerStatuses") or ()
    return max((int(status.get("restartCount") or 0) for status in found), default=0)


def from_template(template: Object, owner: Object) -> dict[str, Any]:
    """Build the Pod an owner makes from its template; the server completes the name."""
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{objects.name(owner)[:LONGEST_PREFIX].rstrip('-.')}-",
            "namespace": objects.namespace(owner),
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "finalizers": list(meta.get("finalizers") or ()),
            "ownerReferences": [objects.controller_reference(owner)],
        },
        "spec": objects.copy(template.get("spec") or {}),
    }


def _cost(pod: Object) -> int:
    try:
        return int(objects.annotations(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _ready_since(pod: Object) -> str:
    return (objects.condition(pod, "Ready") or {}).get("lastTransitionTime") or ""


def _age_bucket(since: str, now: float) -> int:
    """Round an age to powers of two: among Pods about equally old, chance (the UID) decides.

    KEP-2185: always taking the newest concentrates the old ones in one failure domain.
    """
    if not since:
        return 0
    return int(math.log2(max(1.0, now - timestamps.parse(since))))
