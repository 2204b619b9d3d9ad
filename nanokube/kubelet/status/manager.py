"""Sends Pod statuses to the API server: only what changed, one request a Pod at a time, latest wins.

Source: pkg/kubelet/status/status_manager.go.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Never

from nanokube.api import errors, resources
from nanokube.client.interface import ApiClient, PatchKind
from nanokube.kit import tasks
from nanokube.kubelet import metrics

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
PODS = resources.get("pods")
RETRY_S = 0.5
MAX_IN_FLIGHT = 16
PASSING = ("PodResizePending", "PodResizeInProgress")  # conditions that end by being removed


class StatusManager:
    """Keeps the status each Pod should show. set() never waits; run() sends."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._wanted: dict[str, tuple[Object, dict[str, Any]]] = {}
        self._sent: dict[str, dict[str, Any]] = {}
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._busy: set[str] = set()
        self._idle = asyncio.Condition()

    def get(self, uid: str) -> dict[str, Any] | None:
        """Return the status last set, which the API server may not have yet."""
        wanted = self._wanted.get(uid)
        return wanted[1] if wanted else None

    def set(self, pod: Object, status: dict[str, Any]) -> None:
        """Want a Pod to show this status."""
        uid = pod["metadata"]["uid"]
        before = self._wanted.get(uid)
        self._wanted[uid] = pod, status
        metrics.count_ends(before[1] if before else pod.get("status") or {}, status)
        if before is not None and before[1] == status and uid not in self._dirty:
            return
        self._dirty[uid] = None
        self._wake.set()

    def resync(self, pod: Object) -> None:
        """Send a status again that someone else has overwritten. pod: as the API has it."""
        uid = pod["metadata"]["uid"]
        if uid in self._busy or uid in self._dirty or uid not in self._wanted:
            return
        shown = dict(pod.get("status") or {})
        if difference(shown, self._wanted[uid][1]):
            self._sent[uid] = shown
            self._dirty[uid] = None
            self._wake.set()

    async def flush(self, uid: str) -> None:
        """Wait until a Pod's latest status was sent (or the Pod is gone from the API)."""
        async with self._idle:
            await self._idle.wait_for(lambda: uid not in self._dirty and uid not in self._busy)

    def forget(self, uid: str) -> None:
        """Drop a Pod that no longer exists."""
        self._wanted.pop(uid, None)
        self._sent.pop(uid, None)
        self._dirty.pop(uid, None)

    async def run(self) -> Never:
        """Send what is wanted until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for uid in [uid for uid in self._dirty if uid not in self._busy]:
                    if len(self._busy) >= MAX_IN_FLIGHT:
                        break
                    del self._dirty[uid]
                    self._busy.add(uid)
                    group.create_task(self._send(uid))

    async def _send(self, uid: str) -> None:
        """Send one Pod's latest status. Refused for good: dropped; unanswered: tried again."""
        try:
            if uid in self._wanted:
                await self._patch(uid, *self._wanted[uid])
        except errors.ApiError as error:
            if error.code in (404, 409) or error.reason == "Invalid":
                log.debug("status refused: uid=%s error=%s", uid, error)
            else:
                await self._again(uid, error)
        except (OSError, ValueError) as error:
            await self._again(uid, error)
        except Exception:
            log.exception("status lost: uid=%s", uid)
        finally:
            self._busy.discard(uid)
            self._wake.set()
            async with self._idle:
                self._idle.notify_all()

    async def _again(self, uid: str, error: Exception) -> None:
        log.debug("status not sent: uid=%s error=%s", uid, tasks.describe(error))
        await asyncio.sleep(RETRY_S)
        if uid in self._wanted:
            self._dirty.setdefault(uid)

    async def _patch(self, uid: str, pod: Object, status: dict[str, Any]) -> None:
        """Send what differs from what was sent last; the UID makes it miss another Pod of the same name."""
        meta = pod["metadata"]
        base = self._sent.get(uid)
        if base is None:
            base = dict(pod.get("status") or {})
        change = difference(base, status)
        if change:
            body = {"metadata": {"uid": uid}, "status": change}
            await self._client.patch(
                PODS,
                meta["name"],
                body,
                meta["namespace"],
                kind=PatchKind.STRATEGIC,
                subresource="status",
            )
        if uid in self._wanted:
            self._sent[uid] = status


def difference(old: Object, new: Object) -> dict[str, Any]:
    """Build the strategic merge patch of one status into another. Pure.

    Conditions merge by type, so those that others own are neither sent nor removed.
    """
    change: dict[str, Any] = {key: value for key, value in new.items() if old.get(key) != value}
    if "conditions" in change:
        # null is how the API shows a time that nobody set
        before = {
            c["type"]: {key: value for key, value in c.items() if value is not None}
            for c in old.get("conditions") or ()
        }
        change["conditions"] = [
            # A key that is gone must be named, or merging would keep it.
            {**dict.fromkeys(before.get(c["type"]) or ()), **c}
            for c in new["conditions"]
            if before.get(c["type"]) != c
        ]
        present = {c["type"] for c in new["conditions"]}
        change["conditions"] += [
            {"type": type_, "$patch": "delete"}
            for type_ in PASSING
            if type_ in before and type_ not in present
        ]
        if not change["conditions"]:
            del change["conditions"]
    for key in ("reason", "message", "podIP", "podIPs", "initContainerStatuses"):
        if old.get(key) and key not in new:
            change[key] = None
    for key in ("podIPs", "hostIPs"):
        if change.get(key) and old.get(key):
            change[key] = [*change[key], {"$patch": "replace"}]
    return change
