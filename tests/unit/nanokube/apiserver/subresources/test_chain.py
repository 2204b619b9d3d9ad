"""From a client through API server and kubelet to a process: the whole way of exec, port-forward and log."""

import asyncio
import base64
import contextlib
import datetime
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cri.api import runtime_pb2
from cri.streaming.server import StreamingServer
from cri.wire import logline
from cri.wire.aio import dial, spdy
from cri.wire.aio.websocket import WebSocket
from nanokube.api.errors import ApiError
from nanokube.apiserver.subresources.handlers import HANDLERS
from nanokube.client.fake import FakeClient
from nanokube.kit import pki
from nanokube.kit.http.message import Answer, Request, Response
from nanokube.kit.http.server import Server
from nanokube.kubelet.server.host import HostError, LogSource
from nanokube.kubelet.server.reviews import Reviews
from nanokube.kubelet.server.routes import Routes
from nanokube.kubelet.server.run import tls_context

KEY = base64.b64encode(bytes(16)).decode()
POD: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "d", "uid": "u1"},
    "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
    "status": {"phase": "Running", "podIP": "127.0.0.1"},
}


class Process:
    """A host process on pipes."""

    def __init__(self, argv: Sequence[str]) -> None:
        read_in, self.stdin = os.pipe()
        self.stdout, write_out = os.pipe()
        self.stderr, write_err = os.pipe()
        self._process = subprocess.Popen(argv, stdin=read_in, stdout=write_out, stderr=write_err)
        for fd in (read_in, write_out, write_err):
            os.close(fd)

    def on_exit(self, callback: Callable[[int], None]) -> None:
        threading.Thread(target=lambda: callback(self._process.wait()), daemon=True).start()

    def resize(self, width: int, height: int) -> None:
        pass

    def stdin_closed(self) -> bool:
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Runtime:
    """A streaming backend for which every container is this host."""

    def exec(self, container_id: str, argv: Sequence[str], **streams: bool) -> Process:
        return Process(argv)

    def attach(self, container_id: str, **streams: bool) -> Process:
        return Process(("sh",))

    def connect(self, sandbox_id: str, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port))


class Kubelet:
    """A Host with one Pod."""

    def __init__(self, streaming: StreamingServer, log: Path) -> None:
        self._streaming, self._log = streaming, log
        self.running = True

    def pods(self) -> Sequence[Mapping[str, Any]]:
        return [POD]

    def pod(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return POD if (namespace, name) == ("d", "p") else None

    async def log_source(self, pod: Mapping[str, Any], container: str, *, previous: bool) -> LogSource:
        if previous:
            raise HostError(400, f'previous terminated container "{container}" in pod "p" not found')
        return LogSource("c1", self._log)

    async def is_running(self, container_id: str) -> bool:
        return self.running

    async def running_container(self, pod: Mapping[str, Any], container: str) -> str:
        return "c1"

    async def exec_url(self, container_id: str, argv: Sequence[str], **streams: bool) -> str:
        request = runtime_pb2.ExecRequest(container_id=container_id, cmd=argv, **streams)
        return self._streaming.exec_url(request)

    async def attach_url(self, container_id: str, **streams: bool) -> str:
        return self._streaming.attach_url(runtime_pb2.AttachRequest(container_id=container_id, **streams))

    async def port_forward_url(self, pod: Mapping[str, Any], ports: Sequence[int]) -> str:
        request = runtime_pb2.PortForwardRequest(pod_sandbox_id="s1", port=ports)
        return self._streaming.port_forward_url(request)

    async def make_volume(self, name: str) -> str:
        return f"/volumes/{name}"

    async def remove_volume(self, name: str) -> None:
        raise HostError(409, f"{name} is in use")

    async def stats_summary(self) -> Mapping[str, Any]:
        cpu = {"usageCoreNanoSeconds": 1_500_000_000}
        return {"node": {"cpu": cpu}, "pods": [{"podRef": {"name": "p", "namespace": "d"}, "cpu": cpu}]}


class Registry:
    """An API server's Backend with one Pod and one Node."""

    def __init__(self, kubelet_port: int, tls: ssl.SSLContext) -> None:
        self._port, self._tls = kubelet_port, tls

    async def pod(self, namespace: str, name: str) -> Mapping[str, Any]:
        if name != "p":
            raise ApiError("NotFound", 404, f'pods "{name}" not found')
        return POD

    async def service(self, namespace: str, name: str) -> Mapping[str, Any]:
        raise NotImplementedError

    async def endpoint_slices(self, namespace: str, service: str) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError

    async def node(self, name: str) -> Mapping[str, Any]:
        return {
            "metadata": {"name": name},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            },
        }

    def kubelet_tls(self) -> ssl.SSLContext:
        return self._tls


def api(registry: Registry) -> Callable[[Request], Any]:
    """Route /api/v1/namespaces/{ns}/{resource}/{name}/{subresource}[/rest]."""

    async def handle(request: Request) -> Answer:
        parts = request.path.strip("/").split("/", 7)
        try:
            serve = HANDLERS[(parts[4], parts[6])]
            rest = parts[7] if len(parts) > 7 else ""
            return await serve(request, registry, parts[3], parts[5], rest)
        except ApiError as err:
            return Response(err.code, json.dumps(err.to_status()).encode(), "application/json")

    return handle


class Cluster:
    """Addresses and keys of the chain under test."""

    def __init__(self, port: int, kubelet_port: int, log: Path, kubelet: Kubelet, directory: Path) -> None:
        self.port, self.kubelet_port, self.log, self.kubelet = port, kubelet_port, log, kubelet
        self.directory = directory

    def client_tls(self, name: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        if name:
            context.load_cert_chain(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        return context

    async def get(self, path: str) -> dial.Answer:
        return await dial.dial("127.0.0.1", self.port, "GET", f"/api/v1/namespaces/d/pods/{path}", ())


def write_pki(directory: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority = pki.Authority.create("ca", now)
    (directory / "ca.crt").write_bytes(authority.pair.certificate)
    subjects = {
        "kubelet": pki.Subject("system:node:n1", ("system:nodes",), ("n1", "127.0.0.1")),
        "apiserver": pki.Subject("kube-apiserver-kubelet-client", ("system:masters",)),
        "mallory": pki.Subject("mallory", ("developers",)),
    }
    for name, subject in subjects.items():
        pair = authority.issue(subject, now)
        (directory / f"{name}.crt").write_bytes(pair.certificate)
        (directory / f"{name}.key").write_bytes(pair.key)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    write_pki(directory)
    return directory


@contextlib.asynccontextmanager
async def chain(keys: Path, log: Path) -> AsyncIterator[Cluster]:
    streaming = StreamingServer(Runtime())
    streaming.start()
    kubelet = Kubelet(streaming, log)
    tls = tls_context(keys / "kubelet.crt", keys / "kubelet.key", keys / "ca.crt")
    try:
        async with Server(Routes(kubelet, Reviews(FakeClient(), "node"))) as kubelet_server:
            _, kubelet_port = await kubelet_server.listen("127.0.0.1", 0, tls)
            cluster = Cluster(0, kubelet_port, log, kubelet, keys)
            registry = Registry(kubelet_port, cluster.client_tls("apiserver"))
            async with Server(api(registry)) as server:
                _, cluster.port = await server.listen("127.0.0.1", 0)
                yield cluster
    finally:
        streaming.stop()


@pytest.fixture
async def cluster(keys: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with asyncio.timeout(10), chain(keys, tmp_path / "0.log") as cluster:
        yield cluster


async def read_text(answer: dial.Answer) -> str:
    data = b"".join([part async for part in answer.body()])
    await answer.close()
    return data.decode()


async def test_exec_over_websocket_v5(cluster: Cluster) -> None:
    target = "p/exec?command=sh&command=-c&command=cat%3B+exit+5&stdin=true&stdout=true&stderr=true"
    fields = [
        ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"), ("Authorization", "Bearer secret"),
    ]  # fmt: skip
    answer = await dial.dial("127.0.0.1", cluster.port, "GET", f"/api/v1/namespaces/d/pods/{target}", fields)
    assert (answer.status, answer.field("sec-websocket-protocol")) == (101, "v5.channel.k8s.io")
    ws = WebSocket(answer.pipe(), server=False)
    await ws.send(b"\x00hello")
    await ws.send(b"\xff\x00")
    messages = [piece.data async for piece in ws.pieces()]
    await answer.close()
    assert b"\x01hello" in messages
    assert b'"message":"5"' in messages[-1]


@pytest.mark.parametrize("script", ["sleep 0.2; cat >{0}; echo end >>{0}", "tee {0}; echo end >>{0}"])
async def test_input_is_read_though_its_sender_has_left(
    cluster: Cluster, tmp_path: Path, script: str
) -> None:
    path = tmp_path / "f"
    command = f"command=sh&command=-c&command={quote(script.format(path))}&stdin=1&stdout=1&container=c"
    fields = [
        ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"), ("Authorization", "Bearer secret"),
    ]  # fmt: skip
    answer = await dial.dial(
        "127.0.0.1", cluster.port, "GET", f"/api/v1/namespaces/d/pods/p/exec?{command}", fields
    )
    assert answer.status == 101
    data = bytes(700_000)
    ws = WebSocket(answer.pipe(), server=False)
    for start in range(0, len(data), 70_000):
        await ws.send(b"\0" + data[start : start + 70_000])
    await ws.close()
    async with asyncio.timeout(10):
        _ = [piece async for piece in ws.pieces()]
        await answer.close()
        while not path.exists() or path.stat().st_size < len(data) + 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert path.read_bytes() == data + b"end\n"


async def test_exec_over_spdy(cluster: Cluster) -> None:
    target = "/api/v1/namespaces/d/pods/p/exec?command=echo&command=hi&stdout=true&container=c"
    fields = [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]
    answer = await dial.dial("127.0.0.1", cluster.port, "POST", target, fields)
    assert (answer.status, answer.field("x-stream-protocol-version")) == (101, "v4.channel.k8s.io")
    session = spdy.Session(answer.pipe(), server=False)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(session.run())
        error = await session.open({"streamtype": "error"})
        stdout = await session.open({"streamtype": "stdout"})
        assert await stdout.read() == b"hi\n"
        assert b"Success" in await error.read()
        task.cancel()
    await answer.close()


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("p/exec?stdout=true&command=id", 400, "Upgrade request required"),
        ("p/exec?stdout=true&command=id&container=x", 400, "container x is not valid for pod p"),
        ("q/log", 404, 'pods \\"q\\" not found'),
        ("p/log?previous=true", 400, "previous terminated container"),
        ("p/log?tailLines=-1", 422, "must be greater than or equal to 0"),
        ("p:80/proxy/", 400, "address not allowed"),
    ],
)
async def test_requests_that_fail_say_why(cluster: Cluster, target: str, status: int, message: str) -> None:
    answer = await cluster.get(target)
    assert (answer.status, message in await read_text(answer)) == (status, True)


@pytest.mark.parametrize(("method", "verb"), [("PUT", "exec"), ("DELETE", "portforward"), ("POST", "log")])
async def test_other_methods_are_refused(cluster: Cluster, method: str, verb: str) -> None:
    target = f"/api/v1/namespaces/d/pods/p/{verb}?command=id&stdout=true"
    answer = await dial.dial("127.0.0.1", cluster.port, method, target, [("Upgrade", "SPDY/3.1")])
    await answer.close()
    assert answer.status == 405


def write_log(path: Path, *texts: str, mode: str = "a") -> None:
    with path.open(mode) as file:
        for second, text in enumerate(texts):
            file.write(logline.format_line(second * 10**9, "stdout", text.encode()).decode())


async def test_a_log_is_read(cluster: Cluster) -> None:
    write_log(cluster.log, "one", "two", "three")
    assert await read_text(await cluster.get("p/log")) == "one\ntwo\nthree\n"
    assert await read_text(await cluster.get("p/log?tailLines=1")) == "three\n"
    assert await read_text(await cluster.get("p/log?limitBytes=5")) == "one\nt"
    assert await read_text(await cluster.get("p/log?sinceTime=1970-01-01T00:00:02Z")) == "three\n"
    got = await read_text(await cluster.get("p/log?timestamps=true&tailLines=1"))
    assert got == "1970-01-01T00:00:02.000000000Z three\n"
    assert await read_text(await cluster.get("p/log?stream=Stderr")) == ""


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [("", b"one\ntwo\n"), ("binary.k8s.io", b"one\ntwo\n"), ("base64.binary.k8s.io", b"b25lCnR3bwo=")],
)
async def test_a_log_over_websocket(cluster: Cluster, protocol: str, wanted: bytes) -> None:
    write_log(cluster.log, "one", "two")
    fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")]
    if protocol:
        fields.append(("Sec-WebSocket-Protocol", f"other, {protocol}"))
    target = "/api/v1/namespaces/d/pods/p/log"
    answer = await dial.dial("127.0.0.1", cluster.port, "GET", target, fields)
    assert (answer.status, answer.field("sec-websocket-protocol")) == (101, protocol)
    ws = WebSocket(answer.pipe(), server=False)
    pieces = [piece async for piece in ws.pieces()]
    await answer.close()
    assert b"".join(piece.data for piece in pieces) == wanted
    assert {piece.is_text for piece in pieces} == {protocol.startswith("base64")}


async def test_unknown_subprotocols_and_keys_are_refused(cluster: Cluster) -> None:
    target = "/api/v1/namespaces/d/pods/p/log"
    for key, protocol in ((KEY, "v4.channel.k8s.io"), ("short", "binary.k8s.io")):
        fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Protocol", protocol)]
        answer = await dial.dial("127.0.0.1", cluster.port, "GET", target, fields)
        assert answer.status == 400
        await answer.close()


async def test_a_log_is_followed_through_rotation_until_the_container_ends(cluster: Cluster) -> None:
    write_log(cluster.log, "one")
    answer = await cluster.get("p/log?follow=true")
    parts = answer.body()
    assert await anext(parts) == b"one\n"
    write_log(cluster.log, "two")
    assert await anext(parts) == b"two\n"
    cluster.log.rename(cluster.log.with_suffix(".log.1"))
    write_log(cluster.log, "three")
    assert await anext(parts) == b"three\n"
    cluster.kubelet.running = False
    write_log(cluster.log, "four")
    assert [part async for part in parts] == [b"four\n"]
    await answer.close()


@pytest.mark.parametrize(("name", "status"), [("", 401), ("mallory", 403), ("apiserver", 200)])
async def test_only_the_apiserver_and_administrators_may_use_a_kubelet(
    cluster: Cluster, name: str, status: int
) -> None:
    tls = cluster.client_tls(name)
    answer = await dial.dial("127.0.0.1", cluster.kubelet_port, "GET", "/pods", (), tls=tls)
    await answer.close()
    assert answer.status == status


async def test_a_kubelet_tells_its_pods_and_metrics(cluster: Cluster) -> None:
    async def get(path: str) -> str:
        tls = cluster.client_tls("apiserver")
        return await read_text(await dial.dial("127.0.0.1", cluster.kubelet_port, "GET", path, (), tls=tls))

    assert json.loads(await get("/pods"))["items"][0]["metadata"]["name"] == "p"
    assert await get("/healthz") == "ok"
    metrics = await get("/metrics/resource")
    assert 'pod_cpu_usage_seconds_total{namespace="d",pod="p"} 1.5' in metrics
    assert await get("/nothing") == "404 page not found\n"
