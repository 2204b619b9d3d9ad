"""Who waits for a command hears that its client has left; nothing is told after that."""

import os
import select
from collections.abc import Callable
from typing import cast

import grpc

from cri.server import leaving


class Context:
    """A call whose end the test decides."""

    def __init__(self, *, is_over: bool = False) -> None:
        self.end: Callable[[], None] = lambda: None
        self._is_over = is_over

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.end = callback
        return not self._is_over


def is_told(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_client_that_leaves_is_told() -> None:
    context = Context()
    with leaving.told(cast(grpc.ServicerContext, context)) as fd:
        assert not is_told(fd)
        context.end()
        assert is_told(fd)


def test_a_client_that_left_before_is_told() -> None:
    with leaving.told(cast(grpc.ServicerContext, Context(is_over=True))) as fd:
        assert is_told(fd)


def test_an_end_that_comes_later_reaches_no_other_descriptor() -> None:
    context = Context()
    with leaving.told(cast(grpc.ServicerContext, context)) as fd:
        pass
    other = os.eventfd(0)
    assert other == fd
    context.end()
    assert not is_told(other)
    os.close(other)
