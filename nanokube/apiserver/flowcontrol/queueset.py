"""Fair queuing of the requests of one priority level: who runs, who waits, who is refused. Pure, sans I/O.

    arrive ──┬── RUNNING ──finish──> (extra latency) ──release──> gone
             ├── WAITING ──dispatched by another's end──> RUNNING
             │      └──cancel (timeout, client gone)──> gone
             └── REFUSED

Each queue has a virtual time at which its next request would start; the queue with the earliest virtual end
goes first. A flow is dealt a hand of queues and waits in the one with the least work. The caller gives the
time; who starts is returned, and woken. A request whose turn it is but that does not fit
is waited for: nobody overtakes it.
Source: apiserver/pkg/util/flowcontrol/fairqueuing/queueset (doc.go, queueset.go), KEP-1040.
"""

from __future__ import annotations

import enum
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.apiserver.flowcontrol.seats import Width

# how long a request is thought to run before it is known
SERVICE_S: Final = 0.003
QUEUE_FULL: Final = "queue-full"
NO_SEATS: Final = "concurrency-limit"


class State(enum.Enum):
    """Where a request is."""

    RUNNING = "running"
    WAITING = "waiting"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Queuing:
    """queues: how many; hand: how many of them a flow may use; length: requests in one at most."""

    queues: int
    hand: int
    length: int


@dataclass(slots=True, eq=False)
class Ticket:
    """One request in a level.

    reason: why it was refused. wake: called when it starts after having waited. about: whatever the caller
    wants to find again.
    """

    flow: str
    width: Width
    arrived: float
    state: State = State.GONE
    reason: str = ""
    started: float = 0.0
    seats: int = 0  # held now
    queue: _Queue | None = None
    about: Any = None
    wake: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class _Queue:
    """next_r: the virtual time at which its oldest request would start."""

    waiting: deque[Ticket] = field(default_factory=deque)
    running: int = 0
    seats: int = 0
    next_r: float = 0.0

    @property
    def is_active(self) -> bool:
        return self.running > 0 or bool(self.waiting)

    @property
    def load(self) -> float:
        """Seat-seconds that are before a request that would come last."""
        return sum(t.width.work(SERVICE_S) for t in self.waiting) + self.seats * SERVICE_S


class QueueSet:
    """The requests of one level. limit: seats; queuing None refuses what finds none free."""

    def __init__(self, limit: int, queuing: Queuing | None) -> None:
        self.limit = limit
        self.queuing = queuing
        self.seats = 0
        self.running = 0
        self.waiting = 0
        self.waiting_seats = 0
        self.queues: list[_Queue] = [_Queue() for _ in range(queuing.queues)] if queuing else []
        self._hands: dict[str, tuple[int, ...]] = {}
        self._r = 0.0
        self._r_at = 0.0
        self._turn = 0

    def fits(self, seats: int) -> bool:
        """Tell whether a request may start now; one that is wider than the level may start alone."""
        if seats > self.limit:
            return self.limit > 0 and self.seats == 0
        return self.seats + seats <= self.limit

    @property
    def demand(self) -> int:
        """Seats that are held or waited for."""
        return self.seats + self.waiting_seats

    def arrive(self, flow: str, width: Width, now: float, about: Any = None) -> Ticket:
        """Take a request of a flow; it runs, waits or is refused."""
        ticket = Ticket(flow, width, now, about=about)
        if not self.waiting and self.fits(width.most):
            self._start(ticket, now)  # charged to no queue: nobody is kept waiting by it
            return ticket
        if self.queuing is None:
            ticket.state, ticket.reason = State.REFUSED, NO_SEATS
            return ticket
        self._advance(now)
        queue = self._choose(flow)
        ticket.queue = queue
        if len(queue.waiting) >= self.queuing.length and not self.fits(width.most):
            ticket.state, ticket.reason = State.REFUSED, QUEUE_FULL
            return ticket
        if not queue.is_active:
            queue.next_r = max(queue.next_r, self._r)
        ticket.state = State.WAITING
        queue.waiting.append(ticket)
        self.waiting += 1
        self.waiting_seats += width.most
        self._dispatch(now)
        return ticket

    def finish(self, ticket: Ticket, now: float) -> tuple[list[Ticket], float]:
        """End the work of a running request; returns who starts, and after how many seconds to `release`."""
        if ticket.state is not State.RUNNING:
            return [], 0.0
        self._advance(now)
        if ticket.width.final and ticket.width.extra_s > 0:
            self._hold(ticket, ticket.width.final)
            return self._dispatch(now), ticket.width.extra_s
        return self._end(ticket, now), 0.0

    def release(self, ticket: Ticket, now: float) -> list[Ticket]:
        """Give back what a finished request still held; returns who starts."""
        if ticket.state is not State.RUNNING:
            return []
        self._advance(now)
        return self._end(ticket, now)

    def cancel(self, ticket: Ticket, now: float) -> list[Ticket]:
        """Take back a request that waits; one that runs is ended. Returns who starts."""
        self._advance(now)
        if ticket.state is State.RUNNING:
            return self._end(ticket, now)
        if ticket.state is State.WAITING and ticket.queue is not None:
            ticket.queue.waiting.remove(ticket)
            self._leave(ticket)
            ticket.state = State.GONE
            return self._dispatch(now)  # it may have been the wide one that all waited for
        return []

    def resize(self, limit: int, now: float) -> list[Ticket]:
        """Change the number of seats; returns who starts."""
        self._advance(now)
        self.limit = limit
        return self._dispatch(now)

    def tickets(self) -> Iterator[tuple[int, int, Ticket]]:
        """Yield what waits: index of the queue, position in it, request."""
        for index, queue in enumerate(self.queues):
            for position, ticket in enumerate(queue.waiting):
                yield index, position, ticket

    @property
    def active_queues(self) -> int:
        """How many queues have requests, waiting or running."""
        return sum(queue.is_active for queue in self.queues)

    def _advance(self, now: float) -> None:
        """Move virtual time: as fast as seats serve a queue if all active ones get the same."""
        passed, self._r_at = now - self._r_at, now
        if self.waiting:  # else nobody's turn depends on it
            self._r += passed * min(self.demand, self.limit) / self.active_queues

    def _choose(self, flow: str) -> _Queue:
        hand = self._hands.get(flow)
        if hand is None:
            assert self.queuing is not None
            if len(self._hands) > 4096:
                self._hands.clear()
            hand = self._hands[flow] = deal(flow, self.queuing.queues, self.queuing.hand)
        return min((self.queues[card] for card in hand), key=lambda queue: queue.load)

    def _dispatch(self, now: float) -> list[Ticket]:
        started: list[Ticket] = []
        while self.waiting:
            queue = self._next()
            ticket = queue.waiting[0]
            if not self.fits(ticket.width.most):
                break
            queue.waiting.popleft()
            self._leave(ticket)
            queue.next_r += ticket.width.work(SERVICE_S)
            self._turn = self.queues.index(queue)
            self._start(ticket, now)
            started.append(ticket)
            if ticket.wake is not None:
                ticket.wake()
        return started

    def _next(self) -> _Queue:
        """Choose the queue whose oldest request would end first; of equals, the one after the last chosen."""
        count = len(self.queues)
        best, best_end = -1, 0.0
        for step in range(1, count + 1):
            index = (self._turn + step) % count
            queue = self.queues[index]
            if queue.waiting:
                end = queue.next_r + queue.waiting[0].width.work(SERVICE_S)
                if best < 0 or end < best_end:
                    best, best_end = index, end
        return self.queues[best]

    def _start(self, ticket: Ticket, now: float) -> None:
        ticket.state, ticket.started = State.RUNNING, now
        self.running += 1
        if ticket.queue is not None:
            ticket.queue.running += 1
        self._hold(ticket, ticket.width.most)

    def _hold(self, ticket: Ticket, seats: int) -> None:
        change = seats - ticket.seats
        ticket.seats = seats
        self.seats += change
        if ticket.queue is not None:
            ticket.queue.seats += change

    def _leave(self, ticket: Ticket) -> None:
        self.waiting -= 1
        self.waiting_seats -= ticket.width.most

    def _end(self, ticket: Ticket, now: float) -> list[Ticket]:
        self._hold(ticket, 0)
        self.running -= 1
        ticket.state = State.GONE
        queue = ticket.queue
        if queue is not None:
            queue.running -= 1
            # what it was charged on dispatch was a guess
            queue.next_r -= (SERVICE_S - max(0.0, now - ticket.started)) * ticket.width.initial
        return self._dispatch(now)


def deal(flow: str, queues: int, hand: int) -> tuple[int, ...]:
    """Deal a flow its queues by shuffle sharding. Source: apiserver/pkg/util/shufflesharding."""
    value = int.from_bytes(hashlib.blake2b(flow.encode(), digest_size=8).digest(), "big")
    remainders = []
    for index in range(hand):
        value, remainder = divmod(value, queues - index)
        remainders.append(remainder)
    cards = []
    for index, remainder in enumerate(remainders):
        card = remainder
        for earlier in reversed(remainders[:index]):
            if card >= earlier:
                card += 1
        cards.append(card)
    return tuple(cards)
