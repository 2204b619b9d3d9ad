import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from nanokube.kubelet import actions


@asynccontextmanager
async def answering(response: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "success"),
        (b"HTTP/1.1 399 X\r\n\r\n", "success"),
        (b"HTTP/1.1 404 X\r\n\r\n", "failure"),
        (b"HTTP/1.1 500 X\r\n\r\n", "failure"),
        (b"HTTP/1.1 302 X\r\nLocation: http://elsewhere.example/\r\n\r\n", "warning"),
        (b"nonsense\r\n\r\n", "failure"),
    ],
)
async def test_http_statuses(response: bytes, result: str) -> None:
    async with answering(response) as (port, seen):
        action = {"port": port, "path": "/healthz", "httpHeaders": [{"name": "X-A", "value": "b"}]}
        outcome = await actions.get(action, {}, "127.0.0.1", 5, "kube-probe/1.36")
        assert outcome.result == result
        assert b"GET /healthz HTTP/1.1\r\n" in seen[0]
        assert b"User-Agent: kube-probe/1.36\r\n" in seen[0]
        assert b"X-A: b\r\n" in seen[0]


async def test_nobody_listens() -> None:
    outcome = await actions.connect("127.0.0.1", 1, 1)
    assert outcome.result == "failure"
    assert "connection refused" in outcome.output


def test_ports_have_names() -> None:
    assert actions.find_port({"ports": [{"name": "web", "containerPort": 80}]}, "web") == 80


def test_a_grpc_probe_waits_its_time_for_a_server_and_says_so() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        outcome = asyncio.run(actions.check_grpc("127.0.0.1", port, "", 0.2))
    assert outcome.result == "failure"
    assert outcome.output == (
        f'timeout: failed to connect service "127.0.0.1:{port}" within 0.2s: context deadline exceeded'
    )


async def test_a_grpc_probe_takes_serving_for_success() -> None:
    async def check(_request: bytes, _context: object) -> bytes:
        return b"\x08\x01"

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    outcome = await actions.check_grpc("127.0.0.1", port, "", 5)
    await server.stop(0)
    assert outcome == actions.Outcome("success", "service healthy")
