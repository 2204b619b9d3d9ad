"""Answers of a Pod's server as they come out of the proxy."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any, cast

import pytest

from nanokube.apiserver.subresources import page, proxy, proxy_target
from nanokube.apiserver.subresources.backend import Backend
from nanokube.kit.http.message import Answer, Headers, Peer, Request, Response, StreamResponse


class OnePod:
    """A backend with one Pod, which is this host."""

    async def pod(self, namespace: str, name: str) -> dict[str, Any]:
        return {"metadata": {}, "spec": {"containers": []}, "status": {"podIP": "127.0.0.1"}}


def ask(
    monkeypatch: pytest.MonkeyPatch, head: str, body: bytes, method: str = "GET", end: str = "/"
) -> Answer:
    """Ask a server that gives this answer, through the proxy; its port is written as PORT in what comes."""
    monkeypatch.setattr(proxy_target, "_is_pod_address", lambda text: True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{head}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async def run() -> Answer:
        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            target = f"/api/v1/namespaces/d/pods/p:{port}/proxy{end}"
            request = Request(method, target, Headers(), b"", Peer("192.0.2.1", 1))
            ends: list[Callable[[], None]] = []
            request.on_disconnect = ends.append
            answer = await proxy.pod(request, cast(Backend, OnePod()), "d", f"p:{port}", "")
            if isinstance(answer, Response) and isinstance(answer.body, bytes):
                answer.body = answer.body.replace(f"p:{port}".encode(), b"p:PORT")
            for end_it in ends:
                end_it()
            await asyncio.sleep(0)
            return answer

    return asyncio.run(run())


def test_links_of_a_page_lead_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(monkeypatch, "Content-Type: text/html; charset=utf-8", b'<a href="/x">t</a>')
    assert isinstance(answer, Response)
    assert answer.body == b'<a href="/api/v1/namespaces/d/pods/p:PORT/proxy/x">t</a>'
    assert answer.content_type == "text/html; charset=utf-8"


def test_a_packed_page_stays_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    head = "Content-Type: text/html\r\nContent-Encoding: gzip"
    answer = ask(monkeypatch, head, gzip.compress(b"<img src=/x>"))
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    assert b"/proxy/x" in gzip.decompress(answer.body)
    assert ("content-encoding", "gzip") in answer.headers


@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_other_bodies_are_passed_on_as_they_come(monkeypatch: pytest.MonkeyPatch, content_type: str) -> None:
    assert isinstance(ask(monkeypatch, f"Content-Type: {content_type}", b'<a href="/x">'), StreamResponse)


def test_a_page_beyond_the_limit_is_passed_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_BYTES", 8)
    assert isinstance(ask(monkeypatch, "Content-Type: text/html", b'<a href="/x">'), StreamResponse)


def test_only_readers_are_sent_to_the_path_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = {
        method: cast(Response, ask(monkeypatch, "Content-Type: text/plain", b"", method, end="")).status
        for method in ("GET", "HEAD", "DELETE", "OPTIONS", "POST")
    }
    assert statuses == {"GET": 301, "HEAD": 301, "DELETE": 200, "OPTIONS": 200, "POST": 200}
