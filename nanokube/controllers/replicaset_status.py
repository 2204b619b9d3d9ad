"""The status of a ReplicaSet. Pure.

Source: pkg/controller/replicaset/replica_set_utils.go.
"""

from collections.abc import Sequence
from typing import Any

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.controllers import pods

FAILURE = "ReplicaFailure"


def status_of(
    replicaset: Object, owned: Sequence[Object], failure: Exception | None, now: float
) -> dict[str, Any]:
    """Count the owned Pods; a failure becomes condition ReplicaFailure, which else is taken away."""
    spec = objects.spec(replicaset)
    min_ready_s = int(spec.get("minReadySeconds") or 0)
    template_labels = (spec.get("template", {}).get("metadata") or {}).get("labels") or {}
    active = [pod for pod in owned if pods.is_active(pod)]
    labelled = [pod for pod in active if template_labels.items() <= objects.labels(pod).items()]
    ready = [pod for pod in active if pods.is_ready(pod)]
    status: dict[str, Any] = dict(objects.status(replicaset))
    counts = {
        "fullyLabeledReplicas": len(labelled),
        "readyReplicas": len(ready),
        "availableReplicas": sum(pods.is_available(pod, min_ready_s, now) for pod in active),
        "terminatingReplicas": sum(_is_terminating(pod) for pod in owned),
    }
    status["replicas"] = len(active)
    status["observedGeneration"] = objects.generation(replicaset)
    for field, count in counts.items():
        status.pop(field, None)
        if count or field == "terminatingReplicas":
            status[field] = count
    if replicaset["kind"] == "ReplicationController":
        del status["terminatingReplicas"]  # its API is older than this field
    conditions = _conditions(replicaset, len(active), failure, now)
    status.pop("conditions", None)
    if conditions:
        status["conditions"] = conditions
    return status


def next_available_s(replicaset: Object, owned: Sequence[Object], now: float) -> float | None:
    """Give the seconds until the next ready Pod becomes available; None when none will by waiting."""
    min_ready_s = int(objects.spec(replicaset).get("minReadySeconds") or 0)
    waits = [pods.available_in(pod, min_ready_s, now) for pod in owned if pods.is_active(pod)]
    return min((wait for wait in waits if wait), default=None)


def _conditions(
    replicaset: Object, active: int, failure: Exception | None, now: float
) -> list[dict[str, Any]]:
    found = [dict(condition) for condition in objects.conditions(replicaset)]
    others = [condition for condition in found if condition["type"] != FAILURE]
    if failure is None:
        return others
    if len(others) < len(found):
        return found  # told already: the first failure's time matters
    wanted = objects.spec(replicaset).get("replicas", 1)
    return [
        *others,
        {
            "type": FAILURE,
            "status": "True",
            "reason": "FailedCreate" if active < wanted else "FailedDelete",
            "message": str(failure),
            "lastTransitionTime": timestamps.format_time(now),
        },
    ]


def _is_terminating(pod: Object) -> bool:
    return objects.is_deleting(pod) and not pods.is_terminal(pod)
