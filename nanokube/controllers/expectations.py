"""What a controller's own writes will still show in its cache.

Between a create and its event the cache shows too few Pods; acting on it would create again. So each key
remembers what it has done, and is left alone until the events came or a time has passed.
Source: pkg/controller/controller_utils.go, ControllerExpectations.
"""

import dataclasses

from nanokube.kit import clock

EXPIRES_S = 300.0  # ExpectationsTimeout


@dataclasses.dataclass(slots=True)
class _Expected:
    creates: int
    deletes: set[str]
    since: float


class Expectations:
    """Creates (counted) and deletes (by UID) that a key awaits."""

    def __init__(self, time: clock.Clock) -> None:
        self._clock = time
        self._expected: dict[str, _Expected] = {}

    def satisfied(self, key: str) -> bool:
        """Tell whether a key awaits nothing, or has awaited it too long."""
        expected = self._expected.get(key)
        if expected is None or (expected.creates <= 0 and not expected.deletes):
            return True
        return self._clock.monotonic() - expected.since > EXPIRES_S

    def expect(self, key: str, *, creates: int = 0, deletes: set[str] | None = None) -> None:
        """Await these from now on, instead of whatever was awaited before."""
        self._expected[key] = _Expected(creates, set(deletes or ()), self._clock.monotonic())

    def created(self, key: str, count: int = 1) -> None:
        """Note creations that were seen, or that will not come because they failed."""
        if expected := self._expected.get(key):
            expected.creates -= count

    def deleted(self, key: str, uid: str) -> None:
        """Note a deletion that was seen, or that failed."""
        if expected := self._expected.get(key):
            expected.deletes.discard(uid)

    def forget(self, key: str) -> None:
        """Drop a key whose object is gone."""
        self._expected.pop(key, None)
