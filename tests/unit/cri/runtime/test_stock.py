"""The stock of filesystems made ahead: when it is filled, and what a failure does. In virtual time."""

import heapq
import itertools
from collections.abc import Callable

from cri.runtime.stock import Stock


class FakeLoop:
    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), call))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, call = heapq.heappop(self._timers)
            call()
        self.now = end

    @property
    def is_idle(self) -> bool:
        return not self._timers


def _stock(loop: FakeLoop, made: list[object], failures: int = 0) -> Stock:
    left = [OSError(28, "full")] * failures

    def make() -> object:
        if left:
            raise left.pop()
        made.append(object())
        return made[-1]

    return Stock(loop, make)  # type: ignore[arg-type]


def test_it_is_filled_once_there_is_peace_and_then_rests() -> None:
    loop, made = FakeLoop(), []  # type: FakeLoop, list[object]
    filled = _stock(loop, made)
    assert filled.take() is None
    for _ in range(100):  # containers come one after the other
        loop.run(0.015)
        filled.take()
    assert made == []
    loop.run(1.0)
    assert len(made) == 4
    assert loop.is_idle
    assert {id(filled.take()) for _ in range(4)} == {id(each) for each in made}
    assert filled.take() is None


def test_a_failure_is_tried_again_with_the_next_container() -> None:
    loop, made = FakeLoop(), []  # type: FakeLoop, list[object]
    filled = _stock(loop, made, failures=1)
    filled.take()
    loop.run(1.0)
    assert made == []
    assert loop.is_idle
    filled.take()
    loop.run(1.0)
    assert len(made) == 4
