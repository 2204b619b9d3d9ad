"""The status of a Deployment: counts, conditions, progress. Pure.

Source: pkg/controller/deployment/{sync,progress}.go, util/deployment_util.go.
"""

from collections.abc import Sequence
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.controllers import rollout

PROGRESSING, AVAILABLE, FAILURE = "Progressing", "Available", "ReplicaFailure"
NO_DEADLINE = 2**31 - 1  # the API's way to say that progress is not watched

CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"
COMPLETE = "NewReplicaSetAvailable"
CREATE_ERROR = "ReplicaSetCreateError"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def has_deadline(deployment: Object) -> bool:
    """Tell whether progress is watched at all."""
    deadline = objects.spec(deployment).get("progressDeadlineSeconds")
    return deadline is not None and deadline != NO_DEADLINE


def condition(type_: str, status: str, reason: str, message: str, now: float) -> dict[str, Any]:
    """Build a condition that changed now."""
    stamp = timestamps.format_time(now)
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def with_condition(conditions: Sequence[Object], wanted: dict[str, Any]) -> list[Any]:
    """Set a condition; one with the same status and reason stays as it is."""
    current = next((c for c in conditions if c["type"] == wanted["type"]), None)
    if current is not None and (current["status"], current.get("reason")) == (
        wanted["status"],
        wanted["reason"],
    ):
        return list(conditions)
    if current is not None and current["status"] == wanted["status"]:
        wanted = {**wanted, "lastTransitionTime": current.get("lastTransitionTime")}
    return [*without(conditions, wanted["type"]), wanted]


def without(conditions: Sequence[Object], type_: str) -> list[Any]:
    """Take a condition away."""
    return [c for c in conditions if c["type"] != type_]


def counted(
    deployment: Object, replicasets: Sequence[Object], new: Object | None, now: float
) -> dict[str, Any]:
    """Count replicas and set condition Available; progress is left as it was."""

    def add(field: str, found: Sequence[Object] = replicasets) -> int:
        return sum(int(objects.status(rs).get(field) or 0) for rs in found)

    available = add("availableReplicas")
    counts = {
        "replicas": add("replicas"),
        "updatedReplicas": add("replicas", [new] if new is not None else []),
        "readyReplicas": add("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, rollout.total(replicasets) - available),
    }
    status: dict[str, Any] = {name: count for name, count in counts.items() if count}
    status["observedGeneration"] = objects.generation(deployment)
    status["terminatingReplicas"] = add("terminatingReplicas")
    if "collisionCount" in objects.status(deployment):
        status["collisionCount"] = objects.status(deployment)["collisionCount"]
    least = rollout.desired(deployment) - rollout.bounds(deployment)[1]
    enough = (
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
        if available >= least
        else condition(
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            now,
        )
    )
    status["conditions"] = with_condition(objects.conditions(deployment), enough)
    return status


def rolling(
    deployment: Object, replicasets: Sequence[Object], new: Object | None, now: float
) -> dict[str, Any]:
    """Count, and judge the progress of the rollout; also take over a ReplicaSet's failure."""
    status = counted(deployment, replicasets, new, now)
    conditions = status["conditions"]
    if not has_deadline(deployment):
        conditions = without(conditions, PROGRESSING)
    else:
        status["conditions"] = conditions = _found(deployment, conditions, new, now)
        conditions = _progress(deployment, status, new, now)
    failure = _failure_of([new] if new is not None else []) or _failure_of(replicasets)
    kept = without(conditions, FAILURE) if failure is None else with_condition(conditions, failure)
    status["conditions"] = kept
    return status


def paused(deployment: Object, conditions: Sequence[Object], now: float) -> list[Any]:
    """Note in Progressing a pause or its end: neither counts as lack of progress."""
    current = next((c for c in conditions if c["type"] == PROGRESSING), None)
    reason = current.get("reason") if current is not None else ""
    if not has_deadline(deployment) or reason == TIMED_OUT:
        return list(conditions)
    if objects.spec(deployment).get("paused"):
        wanted = condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
        return with_condition(conditions, wanted)
    if reason == PAUSED:
        wanted = condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now)
        return with_condition(conditions, wanted)
    return list(conditions)


def is_complete(deployment: Object, status: Object) -> bool:
    """Tell whether every replica is new and available, and nothing old is left."""
    goal = rollout.desired(deployment)
    return all(
        int(status.get(field) or 0) == goal for field in ("updatedReplicas", "replicas", "availableReplicas")
    ) and int(status.get("observedGeneration") or 0) >= objects.generation(deployment)


def deadline_in(deployment: Object, status: Object, now: float) -> float | None:
    """Give the seconds until lack of progress becomes a failure; None when it cannot."""
    current = next((c for c in status.get("conditions") or () if c["type"] == PROGRESSING), None)
    if not has_deadline(deployment) or current is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (TIMED_OUT, COMPLETE) or objects.spec(deployment).get("paused"):
        return None
    deadline_s = float(objects.spec(deployment)["progressDeadlineSeconds"])
    # One second more: timestamps have whole seconds.
    return max(0.0, timestamps.parse(current["lastUpdateTime"]) + deadline_s - now) + 1.0


def _found(deployment: Object, conditions: Sequence[Object], new: Object | None, now: float) -> list[Any]:
    """Begin to watch progress where nobody did: the new ReplicaSet was there before the deadline was."""
    if new is None or any(c["type"] == PROGRESSING for c in conditions):
        return list(conditions)
    message = f'Found new replica set "{objects.name(new)}"'
    return with_condition(conditions, condition(PROGRESSING, "True", FOUND, message, now))


def _progress(deployment: Object, status: dict[str, Any], new: Object | None, now: float) -> list[Any]:
    conditions = status["conditions"]
    current = next((c for c in conditions if c["type"] == PROGRESSING), None)
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and current is not None and current.get("reason") == COMPLETE:
        return list(conditions)
    who = (
        f'ReplicaSet "{objects.name(new)}"' if new is not None else f'Deployment "{objects.name(deployment)}"'
    )
    if is_complete(deployment, status):
        wanted = condition(PROGRESSING, "True", COMPLETE, f"{who} has successfully progressed.", now)
        return with_condition(conditions, wanted)
    if _has_progressed(objects.status(deployment), status):
        wanted = condition(PROGRESSING, "True", UPDATED, f"{who} is progressing.", now)
        if current is not None and current["status"] == "True":
            wanted["lastTransitionTime"] = current.get("lastTransitionTime")
        # Set even when status and reason stay: its lastUpdateTime is what the deadline counts from.
        return [*without(conditions, PROGRESSING), wanted]
    if current is not None and _has_timed_out(deployment, current, now):
        wanted = condition(PROGRESSING, "False", TIMED_OUT, f"{who} has timed out progressing.", now)
        return with_condition(conditions, wanted)
    return list(conditions)


def _has_progressed(old: Object, new: Object) -> bool:
    def grew(field: str) -> bool:
        return int(new.get(field) or 0) > int(old.get(field) or 0)

    def outdated(status: Object) -> int:
        return int(status.get("replicas") or 0) - int(status.get("updatedReplicas") or 0)

    return (
        grew("updatedReplicas")
        or outdated(new) < outdated(old)
        or grew("readyReplicas")
        or grew("availableReplicas")
    )


def _has_timed_out(deployment: Object, current: Object, now: float) -> bool:
    if current.get("reason") == COMPLETE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    deadline_s = float(objects.spec(deployment)["progressDeadlineSeconds"])
    return timestamps.parse(current["lastUpdateTime"]) + deadline_s < now


def _failure_of(replicasets: Sequence[Object]) -> dict[str, Any] | None:
    for replicaset in replicasets:
        found = objects.condition(replicaset, FAILURE)
        if found is not None:
            return {
                **found,
                "lastUpdateTime": found.get("lastTransitionTime"),
            }
    return None
