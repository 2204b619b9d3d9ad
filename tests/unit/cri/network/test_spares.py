"""Namespaces made ahead: when they are made, how long they are kept, that none is lost."""

import math
import os
from collections.abc import Iterator

import pytest

from cri.network import spares


class Kernel:
    """Makes descriptors of /dev/null, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made: list[int] = []
        self.fails = False

    def make(self) -> dict[str, int]:
        if self.fails:
            raise OSError(28, "No space left on device")
        self.made.append(os.open(os.devnull, os.O_RDONLY))
        return {"net": self.made[-1]}

    def held(self) -> list[int]:
        return [fd for fd in self.made if _is_open(fd)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    for fd in made.held():
        os.close(fd)


def test_a_spare_is_made_a_moment_after_one_was_asked_for(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 1, lambda: kernel.now)
    assert pool.tend() is None  # nobody wanted any: nothing to look for
    assert pool.take() == {}
    assert pool.tend() is not None
    assert kernel.made == []  # a Pod is being started now
    kernel.now += spares.DELAY_S
    pool.tend()
    assert pool.take() == {"net": kernel.made[0]}
    assert kernel.held() == kernel.made  # the taker's now
    assert pool.take() == {}


def test_an_old_spare_is_dropped_and_no_other_made(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 1, lambda: kernel.now)
    pool.take()
    kernel.now += spares.DELAY_S
    pool.tend()
    kernel.now += spares.KEEP_S
    assert pool.tend() is None
    assert (len(kernel.made), kernel.held()) == (1, [])


def test_an_old_spare_is_not_given_out(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 1, lambda: kernel.now)
    pool.take()
    kernel.now += spares.DELAY_S
    pool.tend()
    kernel.now += spares.KEEP_S
    assert pool.take() == {}
    assert kernel.held() == []


def test_as_many_are_made_as_are_wanted(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 2, lambda: kernel.now)
    pool.take()
    kernel.now += spares.DELAY_S
    for _ in range(4):
        pool.tend()
    assert len(kernel.held()) == 2
    assert len({pool.take()["net"], pool.take()["net"]}) == 2


def test_what_fails_is_tried_again_after_the_next_pod(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 1, lambda: kernel.now)
    kernel.fails = True
    pool.take()
    kernel.now += spares.DELAY_S
    assert pool.tend() is None
    kernel.fails = False
    assert pool.tend() is None
    pool.take()
    kernel.now += spares.DELAY_S
    pool.tend()
    assert len(kernel.held()) == 1


def test_none_are_made_where_none_are_wanted(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 0, lambda: kernel.now)
    pool.start()
    assert pool.take() == {}
    kernel.now = math.inf
    assert pool.tend() is None
    pool.close()
    assert kernel.made == []


def test_the_end_leaves_no_descriptor(kernel: Kernel) -> None:
    pool = spares.Spares(kernel.make, 1, lambda: kernel.now)
    pool.start()
    pool.take()
    kernel.now += spares.DELAY_S
    pool.tend()
    pool.close()
    assert len(kernel.made) >= 1
    assert kernel.held() == []
