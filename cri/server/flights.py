"""Calls under way by what they make: a repeated call joins the first one and gets the same answer.

A client whose deadline passes does not end the call, which goes on in its thread; the client's next attempt
finds it here. Thread-safe; knows nothing of records.
"""

import threading
from collections.abc import Callable
from concurrent import futures

import grpc
from google.protobuf.message import Message

from cri import faults

_LOOK_S = 0.5  # how long the thread of a client that went away may wait on


class Flights:
    """One call at a time for a key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, tuple[Message, futures.Future[str]]] = {}

    def run(self, key: str, request: Message, act: Callable[[], str], context: grpc.ServicerContext) -> str:
        """Return act(), or the result of the call with this key and an equal request that is under way.

        Raises what act raises; RuntimeFault ALREADY_EXISTS while a different request is under way,
        DEADLINE_EXCEEDED if the client of a joining call gives up.
        """
        mine: futures.Future[str] = futures.Future()
        with self._lock:
            theirs = self._flying.setdefault(key, (request, mine))
        if theirs[1] is not mine:
            return _join(key, request, theirs, context)
        try:
            result = act()
        except BaseException as err:
            self._land(key)
            mine.set_exception(err)
            raise
        self._land(key)
        mine.set_result(result)
        return result

    def _land(self, key: str) -> None:
        with self._lock:
            del self._flying[key]


def _join(
    key: str, request: Message, theirs: tuple[Message, futures.Future[str]], context: grpc.ServicerContext
) -> str:
    wanted, future = theirs
    if request != wanted:
        raise faults.RuntimeFault(
            faults.Kind.ALREADY_EXISTS, f"cannot create {key}: a call with another configuration makes it"
        )
    while context.is_active():
        done, _ = futures.wait([future], _LOOK_S)
        if done:
            return future.result()
    raise faults.RuntimeFault(
        faults.Kind.DEADLINE_EXCEEDED, f"cannot wait for {key}: the client gave up; its creation goes on"
    )
