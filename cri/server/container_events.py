"""RPC GetContainerEvents."""

import queue
from collections.abc import Iterator
from functools import partial

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import events as bus
from cri.server.environment import Environment

_CHECK_S = 5.0  # how long a stream may hold its thread if its client left before that could be told


def stream(
    env: Environment, request: pb.GetEventsRequest, context: grpc.ServicerContext
) -> Iterator[pb.ContainerEventResponse]:
    """Yield events from now on until the client goes away or lags too far behind."""
    with env.events.listen() as events:
        context.add_callback(partial(bus.end, events))  # the client left: its thread is free at once
        context.send_initial_metadata(())  # the client learns that it listens before the first event
        while context.is_active():
            try:
                event = events.get(timeout=_CHECK_S)
            except queue.Empty:
                continue
            if event is None:
                return
            yield event
