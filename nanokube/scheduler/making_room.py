"""Ends the victims of a preemption, each with a condition that says why.

Source: pkg/scheduler/framework/preemption/executor.go.
"""

import asyncio
import logging
from typing import Any

from nanokube.api import errors, objects, resources, timestamps
from nanokube.client import events
from nanokube.client.interface import ApiClient, PatchKind
from nanokube.kit import clock
from nanokube.scheduler import preemption
from nanokube.scheduler.model import PodInfo

log = logging.getLogger(__name__)

PODS = resources.get("pods")


async def make_room(
    client: ApiClient, recorder: events.Recorder, time: clock.Clock, pod: PodInfo, room: preemption.Room
) -> None:
    """Delete the victims that are not going already. Raises ApiError, OSError."""
    victims = [victim for victim in room.victims if not victim.is_deleting]
    outcomes = await asyncio.gather(
        *(_end(client, recorder, time, pod, room.node, victim) for victim in victims), return_exceptions=True
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _end(
    client: ApiClient,
    recorder: events.Recorder,
    time: clock.Clock,
    pod: PodInfo,
    node: str,
    victim: PodInfo,
) -> None:
    namespace, name = objects.split_key(victim.key)
    scheduler = pod.spec.get("schedulerName") or "default-scheduler"
    condition: dict[str, Any] = {
        "type": "DisruptionTarget",
        "observedGeneration": objects.generation(victim.obj),
        "status": "True",
        "reason": preemption.REASON,
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        "lastTransitionTime": timestamps.format_time(time.time()),
    }
    body = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
    try:
        await client.patch(PODS, name, body, namespace, kind=PatchKind.STRATEGIC, subresource="status")
        await client.delete(PODS, name, namespace, uid=victim.uid)
    except errors.ApiError as err:
        if err.code not in (404, 409):  # 409: another Pod of that name
            raise
        return
    log.info("preempted: pod=%s node=%s for=%s", victim.key, node, pod.key)
    recorder.event(victim.obj, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {node}")
