"""What a client may try: it is dropped or waits, others are served, nothing grows, no traceback is logged."""

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cri.rpc import connection, frames
from cri.rpc.frames import Code, Kind, Setting
from cri.rpc.server import Server
from tests.unit.cri.rpc import test_server as base

_BLOCK = b"\x83\x86\x44\x09/t.T/echo\x5f\x10application/grpc"
_HOLD = _BLOCK.replace(b"echo", b"hold")
_HEADERS_END = frames.END_HEADERS | frames.END_STREAM
_MESSAGE = frames.MESSAGE_HEAD.pack(0, 1) + b"x"
_PATIENCE_S = 60  # that of a test on a busy host


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "cri.rpc")
    yield
    assert not [record for record in caplog.records if record.exc_info]


def hello(stream: int = 1, block: bytes = _BLOCK, flags: int = frames.END_HEADERS) -> bytes:
    return frames.frame(Kind.HEADERS, flags, stream, block)


def call(stream: int, block: bytes = _BLOCK, message: bytes = _MESSAGE) -> bytes:
    return hello(stream, block) + frames.frame(Kind.DATA, frames.END_STREAM, stream, message)


def assert_served(path: Path) -> None:
    with grpc.insecure_channel(f"unix://{path}") as channel:
        assert base.unary(channel, "echo")(b"x", timeout=_PATIENCE_S) == b"x"


def last_code(received: bytes) -> int | None:
    """Why the server went away."""
    at, code = 0, None
    while at + frames.HEAD_BYTES <= len(received):
        length = int.from_bytes(received[at : at + 3], "big")
        if received[at + 3] == Kind.GOAWAY:
            code = int.from_bytes(received[at + 13 : at + 17], "big")
        at += frames.HEAD_BYTES + length
    return code


def shove(sock: socket.socket, data: bytes) -> bytes:
    """Send while the server takes it; all that came back by its end."""
    with contextlib.suppress(OSError):
        sock.sendall(data)
    return base.hangs_up(sock)


_TABLE_BOMB = (
    b"\x40\x01a\x7f\x81\x1e" + b"v" * 3968 + b"\xbe" * 4000
)  # a large entry, and 4000 times its index
_FLOODS: dict[str, tuple[bytes, Code]] = {
    "a large entry by its index": (hello(1, _TABLE_BOMB), Code.COMPRESSION),
    "an integer without end": (hello(1, b"\xff" * 16000), Code.COMPRESSION),
    "Huffman codes": (hello(1, b"\x00\x01a\xff\xff\x7b" + bytes(15998)), Code.COMPRESSION),
    "continued by nothing": (
        hello(1, b"", 0) + frames.frame(Kind.CONTINUATION, 0, 1) * 100_000,
        Code.ENHANCE_YOUR_CALM,
    ),
    "continued by much": (
        hello(1, b"", 0) + frames.frame(Kind.CONTINUATION, 0, 1, bytes(16000)) * 100,
        Code.PROTOCOL,
    ),
    "settings": (frames.settings({Setting.INITIAL_WINDOW_SIZE: 1}) * 20_000, Code.ENHANCE_YOUR_CALM),
    "a long ping": (frames.frame(Kind.PING, 0, 0, bytes(9)), Code.FRAME_SIZE),
    "a long window update": (frames.frame(Kind.WINDOW_UPDATE, 0, 0, bytes(5)), Code.FRAME_SIZE),
    "a stream's window": (hello() + frames.window_update(1, (1 << 31) - 1), Code.FLOW_CONTROL),
    "more than a message": (hello() + frames.data(1, bytes(16384)) * 1100, Code.FLOW_CONTROL),
    "many large requests": (
        b"".join([hello(n) + frames.data(n, bytes(16384)) * 100 for n in range(1, 99, 2)]),
        Code.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("name", _FLOODS)
def test_a_flood_is_cut_off(path: Path, name: str) -> None:
    sent, code = _FLOODS[name]
    begin = time.process_time()  # of all threads; a busy host makes it no longer
    with base.serving(path, 1):
        with base.talking(path) as sock:
            received = shove(sock, frames.PREFACE + frames.settings({}) + sent)
        assert last_code(received) in (code, None)  # None: the end overtook what was sent
        assert_served(path)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "more",
    [frames.data(1, b"more"), frames.frame(Kind.DATA, frames.END_STREAM, 1), hello(1, b"", _HEADERS_END)],
)
def test_a_request_that_goes_on_after_its_end(path: Path, more: bytes) -> None:
    with base.serving(path) as service, base.talking(path) as sock:
        sock.sendall(frames.PREFACE + frames.settings({}) + call(1, _HOLD))
        assert service.begun.acquire(timeout=_PATIENCE_S)
        assert last_code(shove(sock, more)) == Code.STREAM_CLOSED
        assert_served(path)
        assert not service.begun.acquire(timeout=0.05)  # it ran once


def test_pings_without_end_hold_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read of what comes back: four such clients would have held four threads."""
    monkeypatch.setattr(connection, "_SEND_TIMEOUT_S", 600)  # a blocked reply would be waited for
    with base.serving(path, 2), contextlib.ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(base.talking(path))
            sock.settimeout(0.2)
            with contextlib.suppress(OSError):
                sock.sendall(frames.PREFACE + frames.settings({}))
                for _ in range(100):
                    sock.sendall(frames.frame(Kind.PING, 0, 0, bytes(8)) * 1000)
        assert_served(path)


def test_a_ping_is_answered_when_there_is_room(path: Path) -> None:
    size = 1 << 20
    message = frames.MESSAGE_HEAD.pack(0, size) + bytes(size)
    pieces = [frames.data(1, message[at : at + 16384]) for at in range(0, len(message), 16384)]
    request = hello() + b"".join(pieces) + frames.frame(Kind.DATA, frames.END_STREAM, 1)
    wide = frames.settings({Setting.INITIAL_WINDOW_SIZE: 1 << 30}) + frames.window_update(0, 1 << 30)
    ping = frames.frame(Kind.PING, 0, 0, b"pingpong")
    with base.serving(path), base.talking(path) as sock:
        sock.sendall(frames.PREFACE + wide + request)
        time.sleep(0.1)  # the answer does not fit into the socket
        sock.sendall(ping)
        time.sleep(0.05)
        received = b""
        while frames.frame(Kind.PING, frames.ACK, 0, b"pingpong") not in received:
            received += sock.recv(1 << 20)


def test_thousands_of_streams(path: Path) -> None:
    with base.serving(path, 1), base.talking(path) as sock:
        sock.sendall(frames.PREFACE + frames.settings({}))
        sock.sendall(b"".join([hello(stream) for stream in range(1, 8001, 2)]))
        assert_served(path)
        refused = frames.rst_stream(7999, Code.REFUSED_STREAM)
        received = b""
        while refused not in received:
            received += sock.recv(1 << 20)
        assert received.count(frames.rst_stream(0, Code.REFUSED_STREAM)[:5]) == 2000


def test_calls_that_are_reset_at_once_do_not_pile_up(path: Path) -> None:
    with serving(path, 1) as (service, server), base.talking(path) as sock:
        sock.sendall(frames.PREFACE + frames.settings({}) + call(1, _HOLD))
        assert service.begun.acquire(timeout=_PATIENCE_S)
        streams = range(3, 6003, 2)
        sock.sendall(b"".join([call(n, _HOLD) + frames.rst_stream(n, Code.CANCEL) for n in streams]))
        sock.sendall(frames.frame(Kind.PING, 0, 0, b"pingpong"))
        received = b""
        while frames.frame(Kind.PING, frames.ACK, 0, b"pingpong") not in received:
            received += sock.recv(1 << 20)
        assert 0 < len(server._waiting) <= 2000
        service.go.set()
        assert_served(path)
        assert not service.begun.acquire(timeout=0.05)  # nobody waits for them: they are not run


@contextlib.contextmanager
def serving(path: Path, threads: int) -> Iterator[tuple[base.Service, Server]]:
    service = base.Service()
    server = Server(threads)
    server.add_registered_method_handlers("t.T", service.handlers())
    server.listen(path)
    server.start()
    try:
        yield service, server
    finally:
        service.go.set()
        server.stop(1.0)


@pytest.mark.parametrize("window", [0, 1 << 30])
def test_who_takes_nothing_is_dropped(path: Path, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SEND_TIMEOUT_S", 1)
    size = 4 << 20
    message = frames.MESSAGE_HEAD.pack(0, size) + bytes(size)
    with base.serving(path, 1), base.talking(path) as sock:
        sock.sendall(frames.PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: window}))
        sock.sendall(frames.window_update(0, 1 << 30))
        pieces = [frames.data(1, message[at : at + 16384]) for at in range(0, len(message), 16384)]
        sock.sendall(hello() + b"".join(pieces) + frames.frame(Kind.DATA, frames.END_STREAM, 1))
        assert_served(path)  # by the only thread that runs calls


def test_a_message_that_cannot_be_parsed(path: Path) -> None:
    def parse(data: bytes) -> bytes:
        raise DecodeError("wire format")

    server = Server(1)
    handler = grpc.unary_unary_rpc_method_handler(base.Service().echo, parse, bytes)
    server.add_registered_method_handlers("t.T", {"echo": handler})
    server.listen(path)
    server.start()
    try:
        with grpc.insecure_channel(f"unix://{path}") as channel, pytest.raises(grpc.RpcError) as caught:
            base.unary(channel, "echo")(b"x")
        assert caught.value.code() is grpc.StatusCode.INTERNAL
    finally:
        server.stop(0)


_KINDS = st.sampled_from([*Kind, 77])
_PAYLOADS: st.SearchStrategy[bytes] = st.one_of(
    st.sampled_from([b"", _BLOCK, _BLOCK[:7], _MESSAGE, bytes(4), bytes(8), struct.pack(">HI", 4, 0)]),
    st.binary(max_size=40),
)
_FRAMES: st.SearchStrategy[bytes] = st.builds(
    frames.frame,
    _KINDS,
    st.sampled_from([0, 1, 4, 5, 8, 13, 32, 45, 255]),
    st.sampled_from([0, 1, 1, 3, 5, 2, (1 << 31) - 1]),
    _PAYLOADS,
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Callable[[], bytes]]]:
    path = tmp_path_factory.mktemp("rpc") / "s"
    with base.serving(path) as service, grpc.insecure_channel(f"unix://{path}") as channel:
        service.go.set()
        yield path, lambda: bytes(base.unary(channel, "echo")(b"x", timeout=_PATIENCE_S))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(_FRAMES, max_size=12), cut=st.integers(0, 12), pieces=st.integers(1, 3))
def test_any_frames(
    lasting: tuple[Path, Callable[[], bytes]], sent: list[bytes], cut: int, pieces: int
) -> None:
    path, is_served = lasting
    data = frames.PREFACE + frames.settings({}) + b"".join(sent)
    data = data[: len(data) - cut]
    with base.talking(path) as sock:
        step = -(-len(data) // pieces)
        with contextlib.suppress(OSError):
            for at in range(0, len(data), step):
                sock.sendall(data[at : at + step])
            sock.shutdown(socket.SHUT_WR)
        base.hangs_up(sock)
    assert is_served() == b"x"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.binary(max_size=300))
def test_any_headers(lasting: tuple[Path, Callable[[], bytes]], block: bytes) -> None:
    path, is_served = lasting
    with base.talking(path) as sock:
        sock.sendall(frames.PREFACE + frames.settings({}) + hello(1, block, _HEADERS_END))
        sock.shutdown(socket.SHUT_WR)
        base.hangs_up(sock)
    assert is_served() == b"x"
