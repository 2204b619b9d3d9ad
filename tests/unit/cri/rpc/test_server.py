"""The server as grpcio's client sees it, and as a client without manners does."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cri.rpc import frames
from cri.rpc.frames import Kind
from cri.rpc.server import Server

_LIMITS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20))


class Service:
    """Handlers of bytes to bytes."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)

    def echo(self, request: bytes, context: Any) -> bytes:
        return request

    def fail(self, request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "cannot find 100 % of \u00e9")
        raise AssertionError

    def crash(self, request: bytes, context: Any) -> bytes:
        raise RuntimeError("a bug")

    def hold(self, request: bytes, context: Any) -> bytes:
        context.add_callback(self.left.set)
        self.begun.release()
        self.go.wait(10)
        return b"%d" % context.is_active()

    def count(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.send_initial_metadata(())
        for number in range(int(request)):
            yield b"%d" % number

    def handlers(self) -> dict[str, Any]:
        unary = {name: getattr(self, name) for name in ("echo", "fail", "crash", "hold")}
        made: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(call, bytes, bytes) for name, call in unary.items()
        }
        made["count"] = grpc.unary_stream_rpc_method_handler(self.count, bytes, bytes)
        return made


@contextlib.contextmanager
def serving(path: Path, threads: int = 4) -> Iterator[Service]:
    service = Service()
    server = Server(threads)
    server.add_registered_method_handlers("t.T", service.handlers())
    server.listen(path)
    server.start()
    try:
        yield service
    finally:
        service.go.set()
        server.stop(1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def unary(channel: grpc.Channel, name: str) -> Any:
    call: Any = channel.unary_unary  # its types want serializers
    return call(f"/t.T/{name}")


def test_messages_of_all_sizes(path: Path) -> None:
    with serving(path), grpc.insecure_channel(f"unix://{path}", options=_LIMITS) as channel:
        for size in (0, 1, 16000, 65535, 70000, 3 << 20, (16 << 20) - 1):
            message = bytes(1) * size
            assert unary(channel, "echo")(message, timeout=20) == message


def test_failures_have_their_status(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = {
        "fail": (grpc.StatusCode.NOT_FOUND, "cannot find 100 % of \u00e9"),
        "crash": (grpc.StatusCode.UNKNOWN, "cannot serve call: a bug"),
        "nothing": (grpc.StatusCode.UNIMPLEMENTED, "cannot find method '/t.T/nothing'"),
    }
    with serving(path), grpc.insecure_channel(f"unix://{path}") as channel:
        for name, (code, details) in expected.items():
            with pytest.raises(grpc.RpcError) as caught:
                unary(channel, name)(b"")
            assert (caught.value.code(), caught.value.details()) == (code, details)


def test_streams_end(path: Path) -> None:
    with serving(path), grpc.insecure_channel(f"unix://{path}") as channel:
        stream: Any = channel.unary_stream
        numbers = list(stream("/t.T/count")(b"500"))
        assert numbers == [b"%d" % number for number in range(500)]


def test_calls_beyond_the_threads_wait_for_their_turn(path: Path) -> None:
    with serving(path, 3) as service, grpc.insecure_channel(f"unix://{path}") as channel:
        held = [unary(channel, "hold").future(b"") for _ in range(5)]
        for _ in range(3):
            assert service.begun.acquire(timeout=5)
        assert not service.begun.acquire(timeout=0.05)
        service.go.set()
        assert [each.result() for each in held] == [b"1"] * 5


def test_lengthy_calls_leave_threads_to_the_others(path: Path) -> None:
    service, server = Service(), Server(3, ["/t.T/hold"], 2)
    server.add_registered_method_handlers("t.T", service.handlers())
    server.listen(path)
    server.start()
    try:
        with grpc.insecure_channel(f"unix://{path}") as channel:
            held = [unary(channel, "hold").future(b"") for _ in range(5)]
            for _ in range(2):
                assert service.begun.acquire(timeout=60)
            assert unary(channel, "echo")(b"x", timeout=5) == b"x"
            assert not service.begun.acquire(timeout=0.05)
            service.go.set()
            assert [each.result() for each in held] == [b"1"] * 5
    finally:
        service.go.set()
        server.stop(1.0)


def test_a_client_that_cancels_is_noticed_while_its_call_runs(path: Path) -> None:
    with serving(path, 1) as service, grpc.insecure_channel(f"unix://{path}") as channel:
        call = unary(channel, "hold").future(b"")
        assert service.begun.acquire(timeout=5)
        call.cancel()
        assert service.left.wait(5)


def test_a_client_that_hangs_up_is_noticed(path: Path) -> None:
    with serving(path, 1) as service:
        with grpc.insecure_channel(f"unix://{path}") as channel:
            call = unary(channel, "hold").future(b"")
            assert service.begun.acquire(timeout=5)
        del call
        assert service.left.wait(5)


def test_the_deadline_is_known(path: Path) -> None:
    with serving(path) as service, grpc.insecure_channel(f"unix://{path}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, "hold")(b"", timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert service.left.wait(5)


def test_a_stopping_server_lets_calls_end(path: Path) -> None:
    with serving(path) as service:
        channel = grpc.insecure_channel(f"unix://{path}")
        call = unary(channel, "hold").future(b"")
        assert service.begun.acquire(timeout=5)
        threading.Timer(0.1, service.go.set).start()
        answer = call
    assert answer.result() == b"1"
    channel.close()


@contextlib.contextmanager
def talking(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        yield sock


def hangs_up(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            received += part
    return received


_SETTINGS = frames.settings({})
_TEXT = [
    b"GET / HTTP/1.1\r\n\r\n",
    frames.PREFACE + b"\xff" * 100,
    frames.PREFACE + frames.frame(Kind.CONTINUATION, 0, 1, b""),
    frames.PREFACE + frames.frame(Kind.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
    frames.PREFACE + frames.frame(Kind.HEADERS, frames.END_HEADERS, 2, b"\x82"),
    frames.PREFACE + frames.frame(Kind.HEADERS, frames.END_HEADERS | frames.PADDED, 1, b"\x09a"),
    frames.PREFACE + frames.frame(Kind.HEADERS, 0, 1, b"\x82") + frames.frame(Kind.PING, 0, 0, bytes(8)),
    frames.PREFACE + frames.frame(Kind.SETTINGS, 0, 0, b"12345"),
    frames.PREFACE + frames.frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)),
    frames.PREFACE + frames.window_update(0, frames.WINDOW_BYTES_MAX),
    frames.PREFACE + frames.frame(Kind.PUSH_PROMISE, 0, 1, b""),
    frames.PREFACE + (65536).to_bytes(3, "big") + bytes(6),
]


@pytest.mark.parametrize("sent", _TEXT)
def test_a_client_that_breaks_the_protocol_is_dropped_and_others_are_served(path: Path, sent: bytes) -> None:
    with serving(path), grpc.insecure_channel(f"unix://{path}") as channel:
        with talking(path) as sock:
            sock.sendall(sent)
            hangs_up(sock)
        assert unary(channel, "echo")(b"x") == b"x"


def test_pieces_of_any_size(path: Path) -> None:
    block = b"\x83\x86\x44\x09/t.T/echo\x5f\x10application/grpc"
    request = frames.frame(Kind.HEADERS, 0, 1, block[:5])
    request += frames.frame(Kind.CONTINUATION, frames.END_HEADERS, 1, block[5:])
    request += frames.frame(Kind.DATA, frames.PADDED, 1, b"\x02\x00\x00\x00\x00\x02a\x00\x00")
    request += frames.frame(Kind.PING, 0, 0, b"pingpong")
    request += frames.frame(Kind.DATA, frames.END_STREAM, 1, b"b")
    with serving(path), talking(path) as sock:
        for octet in frames.PREFACE + _SETTINGS + request:
            sock.sendall(bytes((octet,)))
        received = b""
        while b"grpc-status" not in received:
            received += sock.recv(65536)
    assert frames.frame(Kind.PING, frames.ACK, 0, b"pingpong") in received
    assert b"\x00\x00\x00\x00\x02ab" in received


def test_nothing_is_sent_beyond_the_windows(path: Path) -> None:
    block = b"\x83\x86\x44\x09/t.T/echo\x5f\x10application/grpc"
    message = frames.MESSAGE_HEAD.pack(0, 100_000) + bytes(100_000)
    with serving(path), talking(path) as sock:
        pieces = [message[at : at + 16384] for at in range(0, len(message), 16384)]
        sock.sendall(
            frames.PREFACE
            + frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 10})
            + frames.frame(Kind.HEADERS, frames.END_HEADERS, 1, block)
            + b"".join([frames.data(1, piece) for piece in pieces[:-1]])
            + frames.frame(Kind.DATA, frames.END_STREAM, 1, pieces[-1])
        )
        time.sleep(0.1)
        received = _await_data(sock, b"", 10)
        assert _data_bytes(received) == 10
        sock.sendall(frames.window_update(1, 1 << 20))
        received = _await_data(sock, received, frames.WINDOW_BYTES)
        assert _data_bytes(received) == frames.WINDOW_BYTES
        sock.sendall(frames.window_update(0, 1 << 20))
        assert _data_bytes(_await_data(sock, received, len(message))) == len(message)


def _await_data(sock: socket.socket, received: bytes, count: int) -> bytes:
    while _data_bytes(received) < count:
        received += sock.recv(1 << 20)
    return received


def _data_bytes(received: bytes) -> int:
    """Bytes of DATA in whole frames."""
    count = at = 0
    while at + frames.HEAD_BYTES <= len(received):
        length = int.from_bytes(received[at : at + 3], "big")
        is_whole = at + frames.HEAD_BYTES + length <= len(received)
        count += length if is_whole and received[at + 3] == Kind.DATA else 0
        at += frames.HEAD_BYTES + length
    return count
