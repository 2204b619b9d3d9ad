"""Takes away Pods that nobody else will: of nodes that are gone, ended ones beyond a count.

Source: pkg/controller/podgc/gc_controller.go.
"""

import logging
from collections.abc import Container, Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources, timestamps
from nanokube.client import informer
from nanokube.client.interface import PatchKind
from nanokube.controllers import pods
from nanokube.controllers.env import Env
from nanokube.kit import tasks

log = logging.getLogger(__name__)

PODS = resources.get("pods")
NODES = resources.get("nodes")
INTERVAL_S = 20.0
QUARANTINE_S = 40.0  # a node may only have been made anew: it is believed gone after this long


def terminated_surplus(found: Sequence[dict[str, Any]], kept: int) -> list[dict[str, Any]]:
    """Choose the oldest ended Pods beyond kept. Pure."""
    ended = sorted(filter(pods.is_terminal, found), key=objects.creation_timestamp)
    return ended[: max(0, len(ended) - kept)]


def orphans(found: Sequence[dict[str, Any]], nodes: Container[str]) -> list[dict[str, Any]]:
    """Choose the Pods of nodes that are not there. Pure."""
    return [
        pod
        for pod in found
        if objects.spec(pod).get("nodeName") and objects.spec(pod)["nodeName"] not in nodes
    ]


def never_placed(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose Pods that are being deleted but never had a node to end them. Pure."""
    return [pod for pod in found if objects.is_deleting(pod) and not objects.spec(pod).get("nodeName")]


class PodGcController:
    """Looks every INTERVAL_S."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pods = env.informers.of(PODS)
        self._nodes = env.informers.of(NODES)
        self._missing_since: dict[str, float] = {}

    async def run(self) -> Never:
        """Collect until cancelled."""
        await informer.wait_synced(self._pods, self._nodes)
        await tasks.every(INTERVAL_S, self.collect, name="pod-gc")

    async def collect(self) -> None:
        """Take away what is due now."""
        found = self._pods.list()
        for pod in terminated_surplus(found, self._env.options.terminated_pods_kept):
            await self._delete(pod)
        gone = await self._gone_nodes(orphans(found, self._nodes))
        for pod in found:
            if objects.spec(pod).get("nodeName") in gone:
                await self._fail(pod)
                await self._delete(pod)
        for pod in never_placed(found):
            await self._delete(pod)

    async def _gone_nodes(self, orphaned: Sequence[dict[str, Any]]) -> set[str]:
        now = self._env.clock.monotonic()
        names = {objects.spec(pod)["nodeName"] for pod in orphaned}
        self._missing_since = {name: self._missing_since.get(name, now) for name in names}
        due = {name for name, since in self._missing_since.items() if now - since >= QUARANTINE_S}
        return {name for name in due if not await self._exists(name)}

    async def _exists(self, node: str) -> bool:
        try:
            await self._env.client.get(NODES, node)
        except errors.ApiError as err:
            if err.code == 404:
                return False
            raise
        return True

    async def _fail(self, pod: dict[str, Any]) -> None:
        """Say how it ended, for its owner (a Job) to know that it was no fault of its own."""
        if pods.is_terminal(pod):
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "observedGeneration": objects.generation(pod),
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": timestamps.format_time(self._env.clock.time()),
        }
        body = {"status": {"phase": "Failed", "conditions": [condition]}}
        name, namespace, kind = objects.name(pod), objects.namespace(pod), PatchKind.STRATEGIC
        try:
            await self._env.client.patch(PODS, name, body, namespace, kind=kind, subresource="status")
        except errors.ApiError as err:
            if err.code != 404:
                raise

    async def _delete(self, pod: dict[str, Any]) -> None:
        name, namespace = objects.name(pod), objects.namespace(pod)
        try:
            await self._env.client.delete(PODS, name, namespace, grace_period_s=0, uid=objects.uid(pod))
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise
        else:
            log.info("pod collected: pod=%s", objects.key(pod))
