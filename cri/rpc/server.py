"""A gRPC server of threads: unary calls and streamed answers over a Unix socket.

All threads wait at one epoll. Whoever is woken reads, hands the reading on by re-arming the descriptor, and
runs the call itself: a call by itself passes through one thread and no queue. Takes the handlers of the code
that grpcio's compiler generates.
"""

import collections
import contextlib
import errno
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cri.rpc import frames
from cri.rpc.call import Aborted, Call
from cri.rpc.connection import MESSAGE_BYTES_MAX, Closed, Connection

log = logging.getLogger(__name__)

_ONCE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
_BACKLOG = 128
_LOOK_S = 0.02  # while calls are waited for at the end


class Server:
    """Runs calls by threads, as many at once as there are; others wait for their turn.

    lengthy: paths of methods that wait for something outside; at most lengthy_max such calls run at once, so
    that those which answer at once find a thread.
    """

    def __init__(self, threads: int, lengthy: Collection[str] = (), lengthy_max: int = 1) -> None:
        self._methods: dict[str, Any] = {}
        self._threads_max = threads
        self._lengthy, self._lengthy_max, self._lengthy_busy = frozenset(lengthy), lengthy_max, 0
        self._lengthy_waiting: collections.deque[tuple[Connection, Call]] = collections.deque()
        self._lock = threading.Lock()
        self._threads = self._idle = self._busy = 0
        self._waiting: collections.deque[tuple[Connection, Call]] = collections.deque()
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
        self._listener: socket.socket | None = None
        self._is_stopping = False

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Take a service's handlers: called by generated code."""
        for name, handler in handlers.items():
            self._methods[f"/{service}/{name}"] = handler

    def add_generic_rpc_handlers(self, handlers: Iterable[object]) -> None:
        """Nothing: generated code gives the same handlers by name."""

    def listen(self, path: Path) -> None:
        """Listen at a path that is free. Raises OSError."""
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        self._listener = listener

    def start(self) -> None:
        """Serve, in threads of its own."""
        assert self._listener is not None
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._bell, select.EPOLLIN)
        with self._lock:
            self._spawn()

    def stop(self, grace_s: float) -> None:
        """Take no more calls, wait for those under way, end the rest. Blocks."""
        assert self._listener is not None
        self._epoll.unregister(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections.values()):
            connection.go_away()
        deadline = time.monotonic() + grace_s
        while (self._busy or self._waiting or self._lengthy_waiting) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        self._is_stopping = True
        for connection in list(self._connections.values()):
            self._drop(connection)
        os.eventfd_write(self._bell, self._threads_max + 1)

    def _spawn(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="rpc", daemon=True).start()

    def _work(self) -> None:
        while not self._is_stopping:
            with self._lock:
                self._idle += 1
            try:
                found = self._epoll.poll(maxevents=1)
            finally:
                with self._lock:
                    self._idle -= 1
            for fd, _ in found:
                try:
                    self._on_event(fd)
                except Exception:  # a task's top: the other connections go on
                    log.exception("cannot serve descriptor %d", fd)

    def _on_event(self, fd: int) -> None:
        if fd == self._bell:
            if not self._is_stopping:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
            self._run_waiting()
        elif connection := self._connections.get(fd):
            self._read(connection)
        else:
            self._accept()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError as err:  # another thread was faster, or there are too many files open
            if err.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_LOOK_S)
            return
        sock.setblocking(True)
        try:
            connection = Connection(sock)
        except Closed:
            sock.close()
            return
        fd = sock.fileno()
        self._connections[fd] = connection
        self._epoll.register(fd, _ONCE)

    def _read(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        try:
            calls = connection.read()
        except Closed as err:
            log.debug("connection ended: %s", err)
            self._drop(connection)
            return
        except Exception:
            self._drop(connection)  # nobody would wait for it again
            raise
        if calls:
            with self._lock:
                for call in calls:
                    queue = self._lengthy_waiting if call.path in self._lengthy else self._waiting
                    queue.append((connection, call))
                if not self._idle and self._threads <= self._threads_max:
                    self._spawn()  # who reads while this thread runs a call
        with contextlib.suppress(OSError):  # dropped by a stop
            self._epoll.modify(fd, _ONCE | (select.EPOLLOUT if connection.has_replies else 0))
        if len(calls) > 1:
            os.eventfd_write(self._bell, len(calls) - 1)
        if calls:
            self._run_waiting()

    def _drop(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        if self._connections.pop(fd, None) is None:
            return
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
        connection.close()

    def _run_waiting(self) -> None:
        """Run calls until none waits, or as many run as may."""
        while True:
            with self._lock:
                if self._busy >= self._threads_max:
                    return
                if self._waiting:
                    connection, call = self._waiting.popleft()
                elif self._lengthy_waiting and self._lengthy_busy < self._lengthy_max:
                    connection, call = self._lengthy_waiting.popleft()
                else:
                    return
                is_lengthy = call.path in self._lengthy
                self._busy += 1
                self._lengthy_busy += is_lengthy
                if not self._idle and self._threads <= self._threads_max:
                    self._spawn()
            try:
                self._run(connection, call)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._lengthy_busy -= is_lengthy

    def _run(self, connection: Connection, call: Call) -> None:
        """Answer one call."""
        try:
            if not call.is_over:  # reset while it waited for a thread
                self._answer(connection, call)
        except Closed as err:
            log.debug("call %s ended: %s", call.path, err)
        except Aborted:
            self._finish(connection, call, call.code, call.details)
        except Exception as err:  # a task's top: the client learns that its call failed
            log.exception("call failed %s", call.path)
            self._finish(connection, call, grpc.StatusCode.UNKNOWN, f"cannot serve call: {err}")
        finally:
            connection.forget(call)

    def _answer(self, connection: Connection, call: Call) -> None:
        method = self._methods.get(call.path)
        if method is None or method.request_streaming:
            call.abort(grpc.StatusCode.UNIMPLEMENTED, f"cannot find method {call.path[:200]!r}")
        try:
            request = method.request_deserializer(_message(call))
        except DecodeError as err:
            call.abort(grpc.StatusCode.INTERNAL, f"cannot read request: {err}")
        if not method.response_streaming:
            answer = method.response_serializer(method.unary_unary(request, call))
            connection.send(call, _checked(call, answer), is_last=True)
            return
        answers = method.unary_stream(request, call)
        with contextlib.closing(answers):
            for each in answers:
                connection.send(call, _checked(call, method.response_serializer(each)), is_last=False)
        connection.finish(call, 0, "")

    def _finish(self, connection: Connection, call: Call, code: grpc.StatusCode, details: str) -> None:
        with contextlib.suppress(Closed):
            connection.finish(call, int(code.value[0]), details)


def _message(call: Call) -> bytes:
    """The request's one message. Raises Aborted."""
    head = frames.MESSAGE_HEAD
    if len(call.request) < head.size:
        call.abort(grpc.StatusCode.INTERNAL, "cannot read request: no message")
    is_compressed, length = head.unpack_from(call.request)
    if is_compressed:
        call.abort(grpc.StatusCode.UNIMPLEMENTED, "cannot read request: it is compressed")
    if length != len(call.request) - head.size:
        call.abort(grpc.StatusCode.INTERNAL, "cannot read request: not one message")
    return bytes(memoryview(call.request)[head.size :])


def _checked(call: Call, message: bytes) -> bytes:
    if len(message) > MESSAGE_BYTES_MAX:
        call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"cannot send answer: {len(message)} bytes")
    return message
