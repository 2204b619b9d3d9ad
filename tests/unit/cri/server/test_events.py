"""Container events to listeners."""

import contextlib

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import events


def test_every_listener_gets_every_event_from_then_on() -> None:
    bus = events.EventBus()
    bus.publish(pb.ContainerEventResponse(container_id="early"))
    assert not bus.is_heard
    with bus.listen() as one, bus.listen() as two:
        assert bus.is_heard
        bus.publish(pb.ContainerEventResponse(container_id="a"))
        assert [queue.get_nowait() for queue in (one, two)] == [
            pb.ContainerEventResponse(container_id="a")
        ] * 2
    assert not bus.is_heard


def test_a_listener_that_lags_is_cut_off() -> None:
    bus = events.EventBus()
    with bus.listen() as slow:
        for _ in range(slow.maxsize + 1):
            bus.publish(pb.ContainerEventResponse())
        received = [slow.get_nowait() for _ in range(slow.qsize())]
        assert received[-1] is None
        assert not bus.is_heard


def test_closing_ends_the_streams() -> None:
    bus = events.EventBus()
    with bus.listen() as listener:
        bus.close()
        assert listener.get_nowait() is None


def test_listeners_are_bounded_as_each_holds_a_thread() -> None:
    bus = events.EventBus()
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(bus.listen())
        with pytest.raises(faults.RuntimeFault) as caught, bus.listen():
            pass
        assert caught.value.kind is faults.Kind.RESOURCE_EXHAUSTED
    with bus.listen():
        assert bus.is_heard
