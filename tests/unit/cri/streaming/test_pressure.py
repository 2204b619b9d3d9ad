"""StreamingServer under pressure: slow peers, peers that leave, many sessions at a time."""

import asyncio
import json
from pathlib import Path

import pytest

from cri.api import runtime_pb2
from cri.streaming import serve
from cri.streaming.server import StreamingServer
from tests.unit.cri.streaming import test_server as base
from tests.unit.cri.streaming.test_server import FakeBackend, exec_request, spdy_client, spdy_exec, websocket

backend, server = base.backend, base.server  # fixtures
BOUND_BYTES = 24 << 20  # two sockets' buffers as the kernel grows them (tcp_wmem, tcp_rmem), and ours
INPUT_BLOCKS = 24
# Counts the blocks of 64 KiB it got rid of.
FLOOD = (
    "i=0; while dd if=/dev/zero bs=65536 count=1 2>/dev/null; do i=$((i + 1)); echo $i > {0}.new; "
    "mv {0}.new {0}; done"
)


async def plateau(path: Path) -> int:
    """Wait until a flood stands still; return the bytes that passed."""
    last = -1
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.3)
            now = int(path.read_text()) if path.exists() else 0
            if now == last and now:
                return now * 65536
            last = now


async def test_output_that_nobody_reads_stops_the_process(server: StreamingServer, tmp_path: Path) -> None:
    url = server.exec_url(exec_request(FLOOD.format(tmp_path / "count")))
    fields = {"Upgrade": "websocket", "Sec-WebSocket-Key": base.KEY, "Sec-WebSocket-Version": "13"}
    head, pipe = await base.request(url, {**fields, "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}, "GET")
    assert "101" in head.splitlines()[0]
    assert await plateau(tmp_path / "count") < BOUND_BYTES
    await pipe.close()


async def test_output_of_a_slow_client_arrives_whole(server: StreamingServer) -> None:
    url = server.exec_url(exec_request("head -c 3000000 /dev/zero; echo end"))
    async with spdy_client(url, "v4.channel.k8s.io") as session:
        streams = {role: await session.open({"streamtype": role}) for role in ("error", "stdout", "stderr")}
        got = b""
        while part := await streams["stdout"].read():
            got += part
            if len(got) < 500_000:
                await asyncio.sleep(0.005)
        assert (len(got), got[-4:]) == (3_000_004, b"end\n")


@pytest.mark.parametrize("transport", ["spdy", "websocket"])
async def test_a_client_whose_input_nobody_reads_may_still_leave(
    server: StreamingServer, backend: FakeBackend, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input is more than is buffered here and less than the kernel takes: reading has stopped."""
    monkeypatch.setattr(serve, "LEAVE_S", 0.3)
    url = server.exec_url(exec_request("sleep 30", stdin=True))
    block = bytes(32768)
    if transport == "spdy":
        async with spdy_client(url, "v4.channel.k8s.io") as session:
            roles = ("error", "stdin", "stdout", "stderr")
            streams = {role: await session.open({"streamtype": role}) for role in roles}
            for _ in range(INPUT_BLOCKS):
                await streams["stdin"].write(block)
            await asyncio.sleep(0.2)
    else:
        pipe, ws = await websocket(url, "v5.channel.k8s.io")
        for _ in range(INPUT_BLOCKS):
            await ws.send(b"\0" + block)
        await asyncio.sleep(0.2)
        await pipe.close()
    assert await asyncio.to_thread(backend.sessions[0].closed.wait, 20)


async def test_many_conversations_at_a_time(server: StreamingServer) -> None:
    async def converse(number: int) -> bytes:
        url = server.exec_url(exec_request("while read x; do echo $x; done; exit 3", stdin=True))
        async with spdy_client(url, "v4.channel.k8s.io") as session:
            roles = ("error", "stdin", "stdout", "stderr")
            streams = {role: await session.open({"streamtype": role}) for role in roles}
            got = b""
            for turn in range(5):
                await streams["stdin"].write(b"%d.%d\n" % (number, turn))
                while not got.endswith(b"%d.%d\n" % (number, turn)):
                    got += await streams["stdout"].read()
            await streams["stdin"].end()
            status = json.loads(await base.read_all(streams["error"]))
            assert status["details"]["causes"][0]["message"] == "3"
        return got

    got = await asyncio.gather(*(converse(number) for number in range(40)))
    assert got == [b"".join(b"%d.%d\n" % (number, turn) for turn in range(5)) for number in range(40)]


async def test_a_terminal_is_resized_over_websocket(server: StreamingServer) -> None:
    url = server.exec_url(exec_request("read x; stty size", stdin=True, tty=True))
    pipe, ws = await websocket(url, "v5.channel.k8s.io")
    await ws.send(b'\x04{"Width":90,"Height":30}')
    await ws.send(b'\x04{"Width":91,"Height":31}')
    await asyncio.sleep(0.1)
    await ws.send(b"\0\n")
    got = b"".join([piece.data async for piece in ws.pieces()])
    await pipe.close()
    assert b"31 91" in got


async def test_an_attached_shell_with_stdin_once_ends_over_websocket(server: StreamingServer) -> None:
    request = runtime_pb2.AttachRequest(container_id="c1", stdin=True, stdout=True, stderr=True)
    pipe, ws = await websocket(server.attach_url(request), "v5.channel.k8s.io")
    await ws.send(b"\0echo hello\n")
    await ws.send(b"\xff\0")
    got = [piece.data async for piece in ws.pieces()]
    await pipe.close()
    assert b"\x01hello\n" in got
    assert json.loads(got[-1][1:])["status"] == "Success"


async def test_a_second_round_follows_a_hundred_sessions(server: StreamingServer) -> None:
    for _ in range(2):
        urls = [server.exec_url(exec_request("cat", stdin=True)) for _ in range(30)]
        roles = ("stdin", "stdout", "stderr")
        got = await asyncio.gather(*(spdy_exec(url, *roles, stdin=b"x" * 70_000) for url in urls))
        assert all(one["stdout"] == b"x" * 70_000 for one in got)
