"""StreamingServer end to end: SPDY and WebSocket clients against processes on pipes and a terminal."""

import asyncio
import base64
import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cri.api import runtime_pb2
from cri.streaming import backend as backends
from cri.streaming.server import InvalidRequest, StreamingServer
from cri.wire.aio import spdy
from cri.wire.aio.pipe import BytePipe, StreamPipe
from cri.wire.aio.websocket import TunnelPipe, WebSocket

KEY = base64.b64encode(bytes(16)).decode()


class FakeSession:
    """A host process on pipes or a terminal."""

    def __init__(self, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> None:
        self.stdin: int | None = None
        self.stdout: int | None = None
        self.stderr: int | None = None
        self.held_stdin: int | None = None
        self.ends_input = True
        self.closed = threading.Event()
        if tty:
            master, slave = os.openpty()
            ends = (slave, slave, slave)
            self.stdin = self.stdout = master
        else:
            read_in, write_in = os.pipe()
            read_out, write_out = os.pipe()
            read_err, write_err = os.pipe()
            ends = (read_in, write_out, write_err)
            self.stdin, self.stdout, self.stderr = write_in, read_out, read_err
            for wanted, name in ((stdin, "stdin"), (stderr, "stderr"), (stdout, "stdout")):
                if not wanted:
                    os.close(getattr(self, name))
                    setattr(self, name, None)
        self._process = subprocess.Popen(
            argv, stdin=ends[0], stdout=ends[1], stderr=ends[2], start_new_session=True
        )
        for fd in set(ends):
            os.close(fd)

    def on_exit(self, callback: Callable[[int], None]) -> None:
        def wait() -> None:
            code = self._process.wait()
            callback(code if code >= 0 else 128 - code)

        threading.Thread(target=wait, daemon=True).start()

    def resize(self, width: int, height: int) -> None:
        if self.stdout is not None:
            fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def stdin_closed(self) -> bool:
        if self.held_stdin is not None and self.ends_input:
            os.close(self.held_stdin)
            self.held_stdin = None
        return self.held_stdin is not None

    def close(self) -> None:
        self.closed.set()
        if self.held_stdin is not None:
            os.close(self.held_stdin)
            self.held_stdin = None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


@dataclasses.dataclass
class FakeBackend:
    sessions: list[FakeSession] = dataclasses.field(default_factory=list)
    opened: threading.Event = dataclasses.field(default_factory=threading.Event)
    ends_input: bool = True

    def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> FakeSession:
        if container_id != "c1":
            raise backends.StreamFault(f"container {container_id} is not running")
        session = FakeSession(argv, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
        self.sessions.append(session)
        self.opened.set()
        return session

    def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> FakeSession:
        session = self.exec(container_id, ("sh",), stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
        session.ends_input = self.ends_input
        session.held_stdin = os.dup(session.stdin) if session.stdin is not None else None
        return session

    def connect(self, sandbox_id: str, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=2)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def server(backend: FakeBackend) -> Iterator[StreamingServer]:
    server = StreamingServer(backend)
    server.start()
    yield server
    server.stop()
    for session in backend.sessions:
        assert session.closed.is_set()


def exec_request(
    script: str, *, stdin: bool = False, tty: bool = False, **changes: Any
) -> runtime_pb2.ExecRequest:
    fields = {"container_id": "c1", "cmd": ["sh", "-c", script], **changes}
    return runtime_pb2.ExecRequest(stdin=stdin, stdout=True, stderr=not tty, tty=tty, **fields)


async def request(url: str, fields: dict[str, str], method: str = "POST") -> tuple[str, BytePipe]:
    """Send an upgrade request and return the answer's head and the connection."""
    host, _, path = url.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    lines = [f"{method} /{path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade"]
    writer.write("\r\n".join([*lines, *(f"{k}: {v}" for k, v in fields.items()), "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return head.decode(), StreamPipe(reader, writer)


@contextlib.asynccontextmanager
async def running(session: spdy.Session, pipe: BytePipe) -> AsyncIterator[spdy.Session]:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(session.run())
        yield session
        task.cancel()
    await pipe.close()


@contextlib.asynccontextmanager
async def spdy_client(url: str, protocol: str) -> AsyncIterator[spdy.Session]:
    head, pipe = await request(url, {"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol})
    assert "101" in head.splitlines()[0], head
    assert f"X-Stream-Protocol-Version: {protocol}".lower() in head.lower()
    async with running(spdy.Session(pipe, server=False), pipe) as session:
        yield session


async def read_all(stream: spdy.Stream) -> bytes:
    parts = []
    while part := await stream.read():
        parts.append(part)
    return b"".join(parts)


async def spdy_exec(
    url: str, *roles: str, stdin: bytes = b"", protocol: str = "v4.channel.k8s.io"
) -> dict[str, bytes]:
    """Run to the end and return what each stream said. Stdin stays open unless there is something to send."""
    async with spdy_client(url, protocol) as session, asyncio.TaskGroup() as group:
        streams = {role: await session.open({"streamtype": role}) for role in ("error", *roles)}
        if stdin:
            group.create_task(write_all(streams["stdin"], stdin))
        readers = {
            role: group.create_task(read_all(stream)) for role, stream in streams.items() if role != "stdin"
        }
        return {role: await reader for role, reader in readers.items()}


async def write_all(stream: spdy.Stream, data: bytes) -> None:
    await stream.write(data)
    await stream.end()


async def test_output_and_exit_code_over_spdy(server: StreamingServer) -> None:
    got = await spdy_exec(server.exec_url(exec_request("echo out; echo err >&2; exit 3")), "stdout", "stderr")
    assert (got["stdout"], got["stderr"]) == (b"out\n", b"err\n")
    assert json.loads(got["error"])["details"]["causes"][0] == {"reason": "ExitCode", "message": "3"}


async def test_success_is_said_too(server: StreamingServer) -> None:
    got = await spdy_exec(server.exec_url(exec_request("true")), "stdout", "stderr")
    assert json.loads(got["error"])["status"] == "Success"


async def test_older_protocols_end_with_a_bare_message(server: StreamingServer) -> None:
    url = server.exec_url(exec_request("exit 3"))
    got = await spdy_exec(url, "stdout", "stderr", protocol="v2.channel.k8s.io")
    assert got["error"].endswith(b"exit code 3")


async def test_much_input_passes_and_its_end_reaches_the_process(server: StreamingServer) -> None:
    data = os.urandom(3_000_000)
    got = await spdy_exec(
        server.exec_url(exec_request("cat", stdin=True)), "stdin", "stdout", "stderr", stdin=data
    )
    assert got["stdout"] == data


async def test_the_stream_ends_with_the_process_though_the_client_keeps_stdin_open(
    server: StreamingServer,
) -> None:
    got = await spdy_exec(
        server.exec_url(exec_request("echo hello", stdin=True)), "stdin", "stdout", "stderr"
    )
    assert got["stdout"] == b"hello\n"


async def test_an_attached_shell_ends_once_the_runtime_drops_its_own_end_of_stdin(
    server: StreamingServer,
) -> None:
    request = runtime_pb2.AttachRequest(container_id="c1", stdin=True, stdout=True, stderr=True)
    got = await spdy_exec(server.attach_url(request), "stdin", "stdout", "stderr", stdin=b"echo hello\n")
    assert got["stdout"] == b"hello\n"
    assert json.loads(got["error"])["status"] == "Success"


@pytest.mark.parametrize("script", ["", "yes & "])
async def test_an_attachment_to_a_process_that_reads_on_ends_with_its_own_input(
    server: StreamingServer, backend: FakeBackend, script: str
) -> None:
    backend.ends_input = False
    request = runtime_pb2.AttachRequest(container_id="c1", stdin=True, stdout=True, stderr=True)
    data = f"{script}echo hello\n".encode()
    async with asyncio.timeout(5):
        got = await spdy_exec(server.attach_url(request), "stdin", "stdout", "stderr", stdin=data)
    assert b"hello\n" in got["stdout"]
    assert json.loads(got["error"])["status"] == "Success"


async def test_a_background_descendant_does_not_hold_the_stream(server: StreamingServer) -> None:
    got = await spdy_exec(server.exec_url(exec_request("sleep 30 & echo started")), "stdout", "stderr")
    assert got["stdout"] == b"started\n"


async def test_a_terminal_has_the_size_that_the_client_sends(server: StreamingServer) -> None:
    url = server.exec_url(exec_request("read x; stty size", stdin=True, tty=True))
    async with spdy_client(url, "v4.channel.k8s.io") as session:
        roles = ("error", "stdin", "stdout", "resize")
        streams = {role: await session.open({"streamtype": role}) for role in roles}
        await streams["resize"].write(b'{"Width":132,"Height":43}\n')
        await asyncio.sleep(0.1)
        await streams["stdin"].write(b"\n")
        assert b"43 132" in await read_all(streams["stdout"])


async def test_a_fault_of_the_runtime_is_told_as_a_status(server: StreamingServer) -> None:
    got = await spdy_exec(server.exec_url(exec_request("true", container_id="c2")), "stdout", "stderr")
    status = json.loads(got["error"])
    assert (status["reason"], "not running" in status["message"]) == ("InternalError", True)


async def test_many_at_a_time(server: StreamingServer) -> None:
    urls = [server.exec_url(exec_request(f"echo {number}")) for number in range(20)]
    got = await asyncio.gather(*(spdy_exec(url, "stdout", "stderr") for url in urls))
    assert [one["stdout"] for one in got] == [b"%d\n" % number for number in range(20)]


async def test_a_client_that_leaves_ends_the_session(server: StreamingServer, backend: FakeBackend) -> None:
    async with spdy_client(server.exec_url(exec_request("sleep 30")), "v4.channel.k8s.io") as session:
        for role in ("error", "stdout", "stderr"):
            await session.open({"streamtype": role})
        await asyncio.to_thread(backend.opened.wait, 3)
    assert await asyncio.to_thread(backend.sessions[0].closed.wait, 3)


async def websocket(url: str, protocol: str) -> tuple[BytePipe, WebSocket]:
    fields = {"Upgrade": "websocket", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
    head, pipe = await request(url, {**fields, "Sec-WebSocket-Protocol": protocol}, "GET")
    assert "101" in head.splitlines()[0], head
    return pipe, WebSocket(pipe, server=False)


async def content(path: Path, size: int) -> bytes:
    """Wait until a file has so many bytes, or some seconds."""
    for _ in range(300):
        if path.exists() and path.stat().st_size >= size:
            break
        await asyncio.sleep(0.01)
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize(
    ("transport", "script"),
    [
        ("spdy", "sleep 0.1; cat >{0}; echo end >>{0}"),
        ("websocket", "sleep 0.1; cat >{0}; echo end >>{0}"),
        ("websocket", "tee {0}; echo end >>{0}"),
    ],
)
async def test_what_a_client_sent_before_it_left_is_read(
    server: StreamingServer, backend: FakeBackend, tmp_path: Path, transport: str, script: str
) -> None:
    """Ansible's k8s_cp sends an archive and closes; so do all who write a file and go."""
    url = server.exec_url(exec_request(script.format(tmp_path / "f"), stdin=True))
    data = bytes(300_000)
    if transport == "spdy":
        async with spdy_client(url, "v4.channel.k8s.io") as session:
            roles = ("error", "stdin", "stdout", "stderr")
            streams = {role: await session.open({"streamtype": role}) for role in roles}
            await asyncio.gather(*(stream.replied.wait() for stream in streams.values()))
            await streams["stdin"].write(data)
    else:
        pipe, ws = await websocket(url, "v4.channel.k8s.io")
        for start in range(0, len(data), 30_000):
            await ws.send(b"\0" + data[start : start + 30_000])
        await ws.close()
        _ = [piece async for piece in ws.pieces()]  # unread bytes would reset the connection
        await pipe.close()
    assert await content(tmp_path / "f", len(data) + 4) == data + b"end\n"
    assert await asyncio.to_thread(backend.sessions[0].closed.wait, 3)


@pytest.mark.parametrize("as_text", [False, True])  # the official Python client sends text as text
async def test_websocket_v5_carries_input_its_end_and_the_status(
    server: StreamingServer, as_text: bool
) -> None:
    pipe, ws = await websocket(server.exec_url(exec_request("cat; exit 7", stdin=True)), "v5.channel.k8s.io")
    await ws.send(b"\x00hello", as_text=as_text)
    await ws.send(b"\xff\x00")
    got: dict[int, bytes] = {}
    async with asyncio.timeout(30):
        channel = -1
        async for piece in ws.pieces():
            data = piece.data
            if channel < 0:
                channel, data = data[0], data[1:]
            got[channel] = got.get(channel, b"") + data
            channel = -1 if piece.is_last else channel
    await pipe.close()
    assert got[1] == b"hello"
    assert json.loads(got[3])["details"]["causes"][0]["message"] == "7"


async def test_websocket_base64(server: StreamingServer) -> None:
    pipe, ws = await websocket(server.exec_url(exec_request("echo hi")), "v4.base64.channel.k8s.io")
    texts = [piece.data async for piece in ws.pieces()]
    await pipe.close()
    assert b"1" + base64.b64encode(b"hi\n") in texts


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    """A TCP server that sends back what it got, in upper case, once the client has ended."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def forward_once(session: spdy.Session, request_id: str, port: int, data: bytes) -> tuple[bytes, bytes]:
    headers = {"port": str(port), "requestid": request_id}
    error = await session.open({"streamtype": "error", **headers})
    await error.end()
    stream = await session.open({"streamtype": "data", **headers})
    await stream.write(data)
    await stream.end()
    try:
        return await read_all(stream), await read_all(error)
    except ConnectionResetError:
        return b"", await read_all(error)


async def test_ports_are_forwarded_over_spdy(server: StreamingServer, echo_port: int) -> None:
    url = server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1"))
    async with spdy_client(url, "portforward.k8s.io") as session:
        got = await asyncio.gather(
            *(forward_once(session, str(i), echo_port, b"abc%d" % i) for i in range(5))
        )
        assert got == [(b"ABC%d" % i, b"") for i in range(5)]


async def test_a_closed_port_is_told_on_the_error_stream_and_others_go_on(
    server: StreamingServer, echo_port: int
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    url = server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1"))
    async with spdy_client(url, "portforward.k8s.io") as session:
        data, error = await forward_once(session, "1", closed, b"x")
        assert (data, f"error forwarding port {closed}".encode() in error) == (b"", True)
        assert await forward_once(session, "2", echo_port, b"x") == (b"X", b"")


async def test_a_client_that_resets_its_data_stream_is_told_no_error(
    server: StreamingServer, echo_port: int
) -> None:
    url = server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1"))
    async with spdy_client(url, "portforward.k8s.io") as session:
        headers = {"port": str(echo_port), "requestid": "1"}
        error = await session.open({"streamtype": "error", **headers})
        data = await session.open({"streamtype": "data", **headers})
        await data.replied.wait()
        await data.reset()
        assert await read_all(error) == b""


async def test_ports_are_forwarded_over_spdy_inside_a_websocket(
    server: StreamingServer, echo_port: int
) -> None:
    url = server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1"))
    pipe, ws = await websocket(url, "SPDY/3.1+portforward.k8s.io")
    async with running(spdy.Session(TunnelPipe(ws), server=False), pipe) as session:
        assert await forward_once(session, "1", echo_port, b"abc" * 50_000) == (b"ABC" * 50_000, b"")


async def test_ports_are_forwarded_over_channels(server: StreamingServer, echo_port: int) -> None:
    url = server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1", port=[echo_port]))
    pipe, ws = await websocket(url, "v5.channel.k8s.io")
    await ws.send(b"\x00abc")
    await ws.send(b"\xff\x00")
    messages = [piece.data async for piece in ws.pieces()]
    await pipe.close()
    prefix = echo_port.to_bytes(2, "little")
    assert messages == [b"\x00" + prefix, b"\x01" + prefix, b"\x00ABC"]


async def test_a_url_is_good_once(server: StreamingServer) -> None:
    url = server.exec_url(exec_request("true"))
    await spdy_exec(url, "stdout", "stderr")
    head, pipe = await request(url, {"Upgrade": "SPDY/3.1"})
    await pipe.close()
    assert "404" in head.splitlines()[0]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "400"),
        ({"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v9"}, "403"),
        ({"Upgrade": "websocket", "Sec-WebSocket-Key": "short"}, "400"),
        ({"Upgrade": "websocket", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Protocol": "v9"}, "403"),
    ],
)
async def test_requests_that_are_refused(
    server: StreamingServer, fields: dict[str, str], status: str
) -> None:
    head, pipe = await request(server.exec_url(exec_request("true")), fields)
    await pipe.close()
    assert head.split(" ")[1] == status


def test_requests_that_break_cris_rules(server: StreamingServer) -> None:
    for broken in (
        runtime_pb2.ExecRequest(stdout=True),
        runtime_pb2.ExecRequest(container_id="c1"),
        runtime_pb2.ExecRequest(container_id="c1", tty=True, stdout=True, stderr=True),
    ):
        with pytest.raises(InvalidRequest):
            server.exec_url(broken)
    for port in (-1, 0, 65536, 70000):
        with pytest.raises(InvalidRequest, match=f"port {port}: "):
            server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1", port=[80, port]))
    assert server.port_forward_url(runtime_pb2.PortForwardRequest(pod_sandbox_id="s1", port=[1, 65535]))
