"""Watches of an embedded store: replay of the past, then live batches, without a gap or a repetition."""

from __future__ import annotations

from collections.abc import Sequence

from nanokube.storage.store import Deliver, Event


class Subscription:
    """One watch. Until `go` it holds live events back, behind the past that is being read."""

    def __init__(self, owner: Fanout, prefix: str, after: int, deliver: Deliver) -> None:
        self._owner = owner
        self._prefix = prefix
        self._after = after
        self._deliver = deliver
        self._held: list[Event] | None = []

    def offer(self, events: Sequence[Event]) -> None:
        """Take a committed batch."""
        wanted = [e for e in events if e.revision > self._after and e.key.startswith(self._prefix)]
        if not wanted:
            return
        if self._held is not None:
            self._held += wanted
            return
        self._after = wanted[-1].revision
        self._deliver(wanted)

    def go(self, past: Sequence[Event]) -> None:
        """Deliver the past, then what was held back, then live."""
        held = self._held or []
        self._held = None
        self.offer(past)
        self.offer(held)

    def cancel(self) -> None:
        """Deliver nothing more."""
        self._owner.drop(self)


class Fanout:
    """The watches of one store."""

    def __init__(self) -> None:
        self._subscriptions: dict[Subscription, None] = {}

    def subscribe(self, prefix: str, after: int, deliver: Deliver) -> Subscription:
        """Add a watch that holds back until its `go`."""
        subscription = Subscription(self, prefix, after, deliver)
        self._subscriptions[subscription] = None
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Remove a watch."""
        self._subscriptions.pop(subscription, None)

    def publish(self, events: Sequence[Event]) -> None:
        """Give a committed batch to every watch."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(events)

    def clear(self) -> None:
        """End all watches."""
        self._subscriptions.clear()
