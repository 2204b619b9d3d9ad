"""The latest verdict of each probe of each running container. Shared by probe workers, planner and status."""

import asyncio
import enum
from collections.abc import Callable


class Kind(enum.StrEnum):
    """What a failing probe leads to: a restart, no traffic, or a restart before the others begin."""

    LIVENESS = "Liveness"
    READINESS = "Readiness"
    STARTUP = "Startup"


ENDING_A_CONTAINER = frozenset((Kind.LIVENESS, Kind.STARTUP))  # of no use once it ends anyway


class Verdict(enum.Enum):
    """unknown until a threshold was reached once."""

    UNKNOWN = "unknown"
    SUCCESS = "success"
    FAILURE = "failure"


class Results:
    """Verdicts of one Pod's containers; `changed` is called and `flipped` set when one flips."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self.flipped = asyncio.Event()
        self._verdicts: dict[tuple[str, Kind], Verdict] = {}

    def get(self, container_id: str, kind: Kind) -> Verdict | None:
        """Return a verdict, None when the container has no such probe running."""
        return self._verdicts.get((container_id, kind))

    def set(self, container_id: str, kind: Kind, verdict: Verdict) -> None:
        """Keep a verdict."""
        if self._verdicts.get((container_id, kind)) is not verdict:
            self._verdicts[container_id, kind] = verdict
            self.flipped.set()
            self._changed()

    def forget(self, container_id: str) -> None:
        """Drop what is known of a container."""
        for kind in Kind:
            self._verdicts.pop((container_id, kind), None)
