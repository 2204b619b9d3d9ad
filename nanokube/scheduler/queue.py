"""The Pods that wait for a node.

    add ──> active ──pop──> (in a cycle) ──unplaced──> unschedulable ──change that may help──┐
              ^                  └─failed to bind──> back-off <──────────────────────────────┘
              └───────────────── its time is up ────────┘         gated: until its gates go

Source: pkg/scheduler/backend/queue/{scheduling_queue,backoff_queue}.go (times, too).
"""

import asyncio
import dataclasses
import heapq
import itertools

from nanokube.kit.clock import Clock
from nanokube.scheduler.framework import Change
from nanokube.scheduler.model import PodInfo

FIRST_BACKOFF_S = 1.0
LAST_BACKOFF_S = 10.0
LONGEST_WAIT_S = 300.0  # an unschedulable Pod is tried again even if nothing seems to have changed


@dataclasses.dataclass(slots=True, eq=False)
class Waiting:
    """A Pod's stay in the queue; attempts count its cycles."""

    pod: PodInfo
    since: float
    attempts: int = 0
    retry_on: Change = Change.ANY
    failed_at: float = 0.0


class Queue:
    """Active, back-off, unschedulable and gated Pods, by UID. Higher priority first, then older."""

    def __init__(self, time: Clock) -> None:
        self._clock = time
        self._numbers = itertools.count()
        self._active: list[tuple[int, float, int, Waiting]] = []
        self._resting: list[tuple[float, int, Waiting]] = []
        self._place: dict[str, str] = {}
        self._waiting: dict[str, Waiting] = {}
        self._in_cycle: dict[str, Change] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def place(self, uid: str) -> str:
        """Tell where a Pod waits: "active", "backoff", "unschedulable", "gated", "cycle" or ""."""
        return "cycle" if uid in self._in_cycle else self._place.get(uid, "")

    def put(self, pod: PodInfo) -> None:
        """Add a Pod, or take its new state; one whose own change may help is tried again."""
        if pod.uid in self._in_cycle:
            self._in_cycle[pod.uid] |= Change.POD_CHANGED
            self._waiting[pod.uid].pod = pod
            return
        known = self._waiting.get(pod.uid)
        if known is None:
            known = self._waiting[pod.uid] = Waiting(pod, self._clock.monotonic())
        known.pod = pod
        place = self._place.get(pod.uid)
        if pod.is_gated:
            self._place[pod.uid] = "gated"
        elif place in (None, "gated"):
            self._activate(known)

    def changed_itself(self, uid: str) -> None:
        """Try an unschedulable Pod again, since its own spec or labels changed."""
        self._help(uid, Change.POD_CHANGED)

    def remove(self, uid: str) -> None:
        """Drop a Pod that is gone or assigned."""
        self._waiting.pop(uid, None)
        self._place.pop(uid, None)
        self._in_cycle.pop(uid, None)

    async def pop(self) -> Waiting:
        """Wait for the most urgent Pod and take it into a cycle; back(), failed() or remove() must follow."""
        while True:
            self._release_rested()
            while self._active:
                *_, waiting = heapq.heappop(self._active)
                uid = waiting.pod.uid
                if self._waiting.get(uid) is waiting and self._place.get(uid) == "active":
                    del self._place[uid]
                    self._in_cycle[uid] = Change(0)
                    waiting.attempts += 1
                    return waiting
            self._wake.clear()
            try:
                async with asyncio.timeout(self._next_release_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def back(self, waiting: Waiting, retry_on: Change) -> None:
        """Let a Pod wait that no node would take, until a change in retry_on; one seen meanwhile counts."""
        uid = waiting.pod.uid
        seen = self._in_cycle.pop(uid, None)
        if seen is None or uid not in self._waiting:
            return  # removed while in the cycle
        waiting.retry_on = retry_on
        waiting.failed_at = self._clock.monotonic()
        if seen & retry_on:
            self._rest(waiting)
        else:
            self._place[uid] = "unschedulable"
            self._wake.set()

    def failed(self, waiting: Waiting) -> None:
        """Try a Pod again after its back-off: its cycle or binding failed by no fault of the nodes."""
        if self._in_cycle.pop(waiting.pod.uid, None) is not None and waiting.pod.uid in self._waiting:
            waiting.failed_at = self._clock.monotonic()
            self._rest(waiting)

    def changed(self, change: Change) -> None:
        """Move every Pod that a change may help out of the unschedulable ones."""
        for uid in self._in_cycle:
            self._in_cycle[uid] |= change
        for uid in [uid for uid, place in self._place.items() if place == "unschedulable"]:
            self._help(uid, change)

    def _help(self, uid: str, change: Change) -> None:
        if self._place.get(uid) == "unschedulable" and self._waiting[uid].retry_on & change:
            self._rest(self._waiting[uid])

    def _rest(self, waiting: Waiting) -> None:
        """Put into back-off until its time, counted from the failure; at once if that has passed."""
        backoff_s = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(waiting.attempts - 1, 30))
        until = waiting.failed_at + backoff_s
        if until <= self._clock.monotonic():
            self._activate(waiting)
            return
        self._place[waiting.pod.uid] = "backoff"
        heapq.heappush(self._resting, (until, next(self._numbers), waiting))
        self._wake.set()

    def _activate(self, waiting: Waiting) -> None:
        self._place[waiting.pod.uid] = "active"
        entry = (-waiting.pod.priority, waiting.since, next(self._numbers), waiting)
        heapq.heappush(self._active, entry)
        self._wake.set()

    def _release_rested(self) -> None:
        now = self._clock.monotonic()
        while self._resting and self._resting[0][0] <= now:
            _, _, waiting = heapq.heappop(self._resting)
            uid = waiting.pod.uid
            if self._waiting.get(uid) is waiting and self._place.get(uid) == "backoff":
                self._activate(waiting)
        for uid in [uid for uid, place in self._place.items() if place == "unschedulable"]:
            if now - self._waiting[uid].failed_at >= LONGEST_WAIT_S:
                self._activate(self._waiting[uid])

    def _next_release_s(self) -> float | None:
        now = self._clock.monotonic()
        dues = [self._resting[0][0]] if self._resting else []
        dues += [
            self._waiting[uid].failed_at + LONGEST_WAIT_S
            for uid, place in self._place.items()
            if place == "unschedulable"
        ]
        return max(0.001, min(dues) - now) if dues else None
