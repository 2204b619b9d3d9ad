"""A closed-loop load client for an API server that costs little itself: pre-built requests, counted bodies.

Every worker process drives TLS connections with one request outstanding on each (HTTP/1.1): by epoll, or, if
it has one alone, by waiting in its read. A short request is two system calls, one to send and one to receive,
and TLS between buffers in memory; bodies are counted and never parsed.
"""

from __future__ import annotations

import array
import gc
import itertools
import json
import multiprocessing
import os
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from pathlib import Path

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
_RECORD = 1 << 14  # no read of TLS returns more
_READ = 1 << 18
_LENGTH = b"\r\nContent-Length: "
_ANY_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"0\r\n\r\n"
# In no Pod else; one byte of it is found by memchr, at a fraction of what the search for a word costs.
_MARK = "§"
_BYTE = _MARK.encode()[-1:]
_DIGITS = 19
AHEAD = 8
WRITERS = 4  # one alone waits for the disk most of the time, and its watchers for it

Requests = Callable[[], bytes | None]


@dataclass(frozen=True, slots=True)
class Target:
    """A server: where it listens, its CA, a bearer token."""

    port: int
    ca: Path
    token: str
    host: str = "127.0.0.1"

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = JSON,
        accept: str = JSON,
        *,
        gzip: bool = False,
    ) -> bytes:
        """Return the bytes of one request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: {accept}\r\n"
        head += f"User-Agent: bench\r\nAuthorization: Bearer {self.token}\r\n"
        if gzip:
            head += "Accept-Encoding: gzip\r\n"
        if body:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}\r\n".encode() + body

    def connect(self) -> Connection:
        """Open one TLS connection."""
        return Connection(self)

    def call(self, method: str, path: str, body: object = None, kind: str = JSON) -> tuple[int, bytes]:
        """Make one request on a connection of its own and return (status, body)."""
        connection = self.connect()
        try:
            return connection.exchange(
                self.request(method, path, b"" if body is None else json.dumps(body).encode(), kind)
            )
        finally:
            connection.socket.close()


@dataclass(slots=True)
class Outcome:
    """What a load measured: latencies in seconds of every answer (or event), the time it took, errors."""

    latencies: list[float]
    seconds: float
    size: int = 0
    errors: int = 0
    lost: int = 0
    first_error: str = ""

    @property
    def rate(self) -> float:
        """Answers (or events) a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds below which `share` of the answers stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3


class _Buffers(threading.local):
    """What a thread reads into for all connections: fresh memory each time would cost as much as TLS."""

    def __init__(self) -> None:
        self.encrypted, self.plain = memoryview(bytearray(_READ)), memoryview(bytearray(_RECORD))


_buffers = _Buffers()


class Connection:
    """One connection with at most one request outstanding; `socket`, below TLS, may block or not."""

    def __init__(self, target: Target) -> None:
        context = ssl.create_default_context(cafile=str(target.ca))
        context.check_hostname = False
        self.socket = socket.create_connection((target.host, target.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=target.host)
        self._shake_hands()
        self.socket.setblocking(False)
        self.began = 0.0
        self.status = 0
        self.size = 0
        self.kept: list[bytes] | None = None
        self._head = b""
        self._tail = b""
        self._missing: int | None = None

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                if not (data := self.socket.recv(_READ)):
                    raise ConnectionError("closed by the server") from None
                self._incoming.write(data)
            finally:
                if self._outgoing.pending:
                    self.socket.sendall(self._outgoing.read())

    def send(self, request: bytes) -> None:
        """Write one request and forget the answer before."""
        self._head, self._tail, self._missing, self.status = b"", b"", None, 0
        self.began = time.perf_counter()
        self._tls.write(request)
        data = self._outgoing.read()
        while data:  # once, but for a server that is slow to read
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def receive(self) -> Iterator[memoryview]:
        """Read what one system call gives, as pieces that last until the next.

        Raises ConnectionError at the end of the stream.
        """
        encrypted, plain = _buffers.encrypted, _buffers.plain
        try:
            count = self.socket.recv_into(encrypted)
        except BlockingIOError:
            return
        self._incoming.write(encrypted[:count])
        while self._incoming.pending:  # an exception where nothing is left would cost more than all else here
            try:
                size: int = self._tls.read(_RECORD, plain)  # type: ignore[assignment]  # into a buffer: how many
            except ssl.SSLWantReadError:
                break
            count = min(count, size)
            yield plain[:size]
        if not count:
            raise ConnectionError("closed by the server")

    def pump(self) -> bool:
        """Read what is there; True when the answer is complete."""
        for piece in self.receive():
            self.size += len(piece)
            if self.status and self._missing is not None and self.kept is None:
                self._missing -= len(piece)
                continue
            data = bytes(piece) if self.status else self._start(bytes(piece))
            if not self.status:
                continue
            if self.kept is not None:
                self.kept.append(data)
            if self._missing is None:
                self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
            else:
                self._missing -= len(data)
        return bool(self.status) and (self._tail == _END if self._missing is None else self._missing <= 0)

    def _start(self, data: bytes) -> bytes:
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        self.status = int(self._head[9:12])
        at = self._head.find(_LENGTH, 0, end)
        if at >= 0:
            self._missing = int(self._head[at + len(_LENGTH) : self._head.index(b"\r", at + 2)])
        else:  # chunked, or of a server that spells it otherwise
            length = _ANY_LENGTH.search(self._head, 0, end)
            self._missing = int(length[1]) if length else None
        return self._head[end + 4 :]

    def failure(self) -> str:
        """Return the end of what the server has answered."""
        return self._head[-500:].decode("latin1")

    def _wait(self, event: int) -> None:
        poll = select.poll()  # select() takes no descriptor above 1,023
        poll.register(self.socket, event)
        poll.poll(60_000)

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and wait for its answer: (status, body without chunk headers)."""
        self.kept = []
        self.send(request)
        while not self.pump():
            self._wait(select.POLLIN)
        body, self.kept = b"".join(self.kept), None
        return self.status, body if self._missing is not None else b"".join(_chunks(body))


def _chunks(body: bytes) -> Iterator[bytes]:
    at = 0
    while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
        yield body[end + 2 : end + 2 + size]
        at = end + 4 + size


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop: `connections` in each of `len(sources)` processes till the time is over or a source dry.

    cpus: the processors the client may use; empty for all.
    """

    target: Target
    sources: list[Requests]
    connections: int = 16
    seconds: float = 5.0
    cpus: frozenset[int] = field(default_factory=frozenset)

    def run(self) -> Outcome:
        """Drive the load and gather what every process measured."""
        go = multiprocessing.Event()
        pipes, processes = _fork(
            lambda pipe, number: self._work(self.sources[number], go, pipe), len(self.sources)
        )
        began = time.perf_counter()
        go.set()
        whole = Outcome([], 0.0)
        for pipe in pipes:
            latencies, size, errors, first = pipe.recv()
            whole.latencies.extend(latencies)
            whole.size += size
            whole.errors += errors
            whole.first_error = whole.first_error or first
        whole.seconds = time.perf_counter() - began
        for process in processes:
            process.join()
        return whole

    def _work(self, source: Requests, go: Event, pipe: Pipe) -> None:
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)
        connections = [self.target.connect() for _ in range(self.connections)]
        ready = _readiness(connections)
        gc.disable()  # there is nothing to collect; to look costs milliseconds now and then
        pipe.send("ready")
        go.wait()
        latencies, errors, first = array.array("d"), 0, ""
        end = time.perf_counter() + self.seconds
        busy = 0
        for connection in connections:
            if (request := source()) is None:
                break
            connection.send(request)
            busy += 1
        while busy:
            for connection in ready():
                if not connection.pump():
                    continue
                now = time.perf_counter()
                latencies.append(now - connection.began)
                if connection.status >= 300:
                    errors += 1
                    first = first or connection.failure()
                request = source() if now < end else None
                if request is None:
                    busy -= 1
                else:
                    connection.send(request)
        pipe.send((latencies, sum(each.size for each in connections), errors, first))


def _readiness(connections: list[Connection]) -> Callable[[], Iterable[Connection]]:
    """Give what waits until there is something to read, and tells on which; of one alone, its read waits."""
    if len(connections) == 1:
        connections[0].socket.setblocking(True)
        return lambda: connections
    poll = select.epoll()
    by_descriptor = {}
    for connection in connections:
        by_descriptor[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    return lambda: [by_descriptor[descriptor] for descriptor, _ in poll.poll()]


@dataclass(frozen=True, slots=True)
class Fanout:
    """A writer annotates objects with the time; `watchers` connections hear of it.

    writes_a_second: 0 means WRITERS that write as fast as answers come, but at most AHEAD writes before what
    the watchers have heard: beyond that, the latency told how much the sockets of a slow client hold.
    on_connected: called before the first write.
    """

    target: Target
    path: str
    names: list[str]
    watchers: int
    writes_a_second: float
    processes: int = 1
    seconds: float = 5.0
    cpus: frozenset[int] = field(default_factory=frozenset)
    on_connected: Callable[[], None] = lambda: None

    def run(self) -> Outcome:
        """Write and listen; latency is from before the write to the watcher's read."""
        _, body = self.target.call("GET", f"{self.path}?limit=1")
        version = json.loads(body)["metadata"]["resourceVersion"]
        stop = multiprocessing.Event()
        share = self.watchers // self.processes
        counts = multiprocessing.RawArray("q", self.processes)

        def listen(pipe: Pipe, number: int) -> None:
            self._listen(share, version, stop, pipe, lambda count: counts.__setitem__(number, count))

        pipes, processes = _fork(listen, self.processes)
        self.on_connected()
        began = time.time_ns()
        written = self._write(lambda: sum(counts) // (share * self.processes))
        deadline = time.monotonic() + 2.0 + self.watchers / 1000
        while sum(counts) < written * share * self.processes and time.monotonic() < deadline:
            time.sleep(0.01)
        stop.set()
        whole, last = Outcome([], 0.0), began + 1
        for pipe in pipes:
            latencies, size, closed, heard = pipe.recv()
            whole.latencies.extend(latencies)
            whole.size += size
            whole.errors += closed
            last = max(last, heard)
        for process in processes:
            process.join()
        whole.lost = written * share * self.processes - len(whole.latencies)
        whole.seconds = (last - began) / 1e9
        return whole

    def _write(self, heard: Callable[[], int]) -> int:
        began, numbers = time.perf_counter(), itertools.count()
        writers = 1 if self.writes_a_second else WRITERS
        with futures.ThreadPoolExecutor(writers) as pool:
            written = [pool.submit(self._write_alone, began, numbers, heard) for _ in range(writers)]
        return sum(each.result() for each in written)

    def _write_alone(self, began: float, numbers: Iterator[int], heard: Callable[[], int]) -> int:
        connection, written = self.target.connect(), 0
        while (now := time.perf_counter()) < began + self.seconds:
            count = next(numbers)
            due = began + count / self.writes_a_second if self.writes_a_second else now
            time.sleep(max(0.0, due - now))
            while not self.writes_a_second and count - heard() >= AHEAD and time.perf_counter() < now + 1:
                time.sleep(0.0005)
            body = f'{{"metadata":{{"annotations":{{"bench-ts":"{_MARK}{time.time_ns()}"}}}}}}'.encode()
            path = f"{self.path}/{self.names[count % len(self.names)]}"
            status, answer = connection.exchange(self.target.request("PATCH", path, body, MERGE))
            assert status == 200, answer
            written += 1
        return written

    def _listen(self, count: int, version: str, stop: Event, pipe: Pipe, tell: Callable[[int], None]) -> None:
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)
        request = self.target.request(
            "GET", f"{self.path}?watch=1&resourceVersion={version}&timeoutSeconds=3000"
        )
        poll, tails, connections = select.epoll(), {}, {}
        for _ in range(count):
            connection = self.target.connect()
            connection.send(request)
            tails[connection.socket.fileno()] = b""
            connections[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
        time.sleep(1.0)
        pipe.send("ready")
        latencies, size, closed, heard = array.array("d"), 0, 0, 0
        while not stop.is_set() or poll.poll(0):
            for descriptor, _events in poll.poll(0.2):
                try:
                    data = b"".join(map(bytes, connections[descriptor].receive()))
                except ConnectionError:
                    closed += 1
                    poll.unregister(descriptor)
                    continue
                size += len(data)
                now, data = time.time_ns(), tails[descriptor] + data
                at = data.find(_BYTE)
                while 0 <= at < len(data) - _DIGITS:
                    latencies.append((now - int(data[at + 1 : at + 1 + _DIGITS])) / 1e9)
                    heard, at = now, data.find(_BYTE, at + _DIGITS)
                tell(len(latencies))
                tails[descriptor] = data[at:] if at >= 0 else b""
        pipe.send((latencies, size, closed, heard))


def _fork(work: Callable[[Pipe, int], None], count: int) -> tuple[list[Pipe], list[multiprocessing.Process]]:
    """Run `work` in `count` processes and return once each has said that it is ready."""
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for number in range(count):
        ours, theirs = multiprocessing.Pipe()
        process = context.Process(target=work, args=(theirs, number), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()
    return pipes, processes  # type: ignore[return-value]
