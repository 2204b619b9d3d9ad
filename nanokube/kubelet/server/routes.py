"""What the kubelet's server answers: a path's first part picks the handler."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
from prometheus_client import REGISTRY, generate_latest

from cri.wire.errors import ProtocolError
from nanokube.kit.http.message import Answer, Request, Response, StreamResponse
from nanokube.kit.http.stream import Stream
from nanokube.kubelet.server import access, host_logs, log_options, log_reader, resource_metrics, streams
from nanokube.kubelet.server.host import Host, HostError, Object
from nanokube.kubelet.server.reviews import Reviews

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger(__name__)

Handle = Callable[["Routes", Request, Sequence[str]], Awaitable[Answer]]


class Routes:
    """The handler of the kubelet's server."""

    def __init__(self, host: Host, reviews: Reviews) -> None:
        self._host = host
        self._reviews = reviews

    async def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        parts = request.path.strip("/").split("/")
        asked = access.question(request.method, parts[0])
        authorization = request.headers.get("authorization")
        if refused := await self._reviews.refusal(request.peer.certificate, authorization, asked):
            return refused
        handle = (
            _EXACT.get("/".join(parts)) or _PREFIXES.get((parts[0], len(parts) - 1)) or _TREES.get(parts[0])
        )
        if handle is None:
            return Response(404, b"404 page not found\n", "text/plain")
        try:
            return await handle(self, request, parts[1:])
        except HostError as err:
            return Response(err.status, f"{err}\n".encode(), "text/plain")
        except ProtocolError as err:
            return Response(400, f"{err}\n".encode(), "text/plain")

    async def healthz(self, request: Request, rest: Sequence[str]) -> Answer:
        """Say that the server answers."""
        return Response(200, b"ok", "text/plain; charset=utf-8")

    async def pods(self, request: Request, rest: Sequence[str]) -> Answer:
        """List the Pods of this node."""
        pods = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(self._host.pods())}
        return Response(200, orjson.dumps(pods, default=dict), "application/json")

    async def stats_summary(self, request: Request, rest: Sequence[str]) -> Answer:
        """Tell what node and Pods use."""
        summary = await self._host.stats_summary()
        return Response(200, orjson.dumps(summary, default=dict), "application/json")

    async def metrics(self, request: Request, rest: Sequence[str]) -> Answer:
        """Give this process's own metrics."""
        return Response(200, generate_latest(REGISTRY), METRICS_TYPE)

    async def resource_metrics(self, request: Request, rest: Sequence[str]) -> Answer:
        """Give CPU and memory of node, Pods and containers, as metrics-server reads them."""
        text = resource_metrics.render(await self._host.stats_summary())
        return Response(200, text.encode(), METRICS_TYPE)

    async def logs(self, request: Request, rest: Sequence[str]) -> Answer:
        """Show the host's own logs."""
        if request.method not in ("GET", "HEAD"):
            raise HostError(405, "405 method not allowed")
        return await host_logs.show("/".join(rest))

    async def volumes(self, request: Request, rest: Sequence[str]) -> Answer:
        """Make (PUT) or remove (DELETE) the directory of a volume."""
        match request.method:
            case "PUT":
                answer = {"path": await self._host.make_volume(rest[0])}
            case "DELETE":
                await self._host.remove_volume(rest[0])
                answer = {}
            case _:
                raise HostError(405, "405 method not allowed")
        return Response(200, orjson.dumps(answer), "application/json")

    async def container_logs(self, request: Request, rest: Sequence[str]) -> Answer:
        """Stream a container's log."""
        namespace, name, container = rest
        options = log_options.parse(request.query, time.time_ns())
        pod = self._pod(namespace, name)
        _require_container(pod, container)
        source = await self._host.log_source(pod, container, previous=options.previous)
        if not source.path.exists():
            raise HostError(500, f"cannot open the log of container {container}: no such file")

        async def is_running() -> bool:
            return await self._host.is_running(source.container_id)

        async def run(stream: Stream) -> None:
            try:
                async for output in log_reader.read(source.path, options, is_running):
                    stream.write(output)
                    await stream.drain()
            except OSError as err:
                log.info("log broke off: pod=%s/%s container=%s error=%s", namespace, name, container, err)
                stream.abort()

        return StreamResponse(run, content_type="text/plain")

    async def exec(self, request: Request, rest: Sequence[str]) -> Answer:
        """Run a command in a container."""
        streams.require_upgrade(request)
        options = streams.command_options(request)
        argv = request.query.getall("command")
        if not argv:
            raise HostError(400, "you must specify a command")
        container_id = await self._running(rest)
        url = await self._host.exec_url(
            container_id,
            argv,
            stdin=options.stdin,
            stdout=options.stdout,
            stderr=options.stderr,
            tty=options.tty,
        )
        return await streams.tunnel(request, url)

    async def attach(self, request: Request, rest: Sequence[str]) -> Answer:
        """Attach to a container's own process."""
        streams.require_upgrade(request)
        options = streams.command_options(request)
        container_id = await self._running(rest)
        url = await self._host.attach_url(
            container_id, stdin=options.stdin, stdout=options.stdout, stderr=options.stderr, tty=options.tty
        )
        return await streams.tunnel(request, url)

    async def port_forward(self, request: Request, rest: Sequence[str]) -> Answer:
        """Forward ports of a Pod."""
        streams.require_upgrade(request)
        ports = streams.forward_ports(request)
        pod = self._pod(rest[0], rest[1])
        return await streams.tunnel(request, await self._host.port_forward_url(pod, ports))

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self._host.pod(namespace, name)
        if pod is None:
            raise HostError(404, f'pod "{name}" does not exist')
        return pod

    async def _running(self, rest: Sequence[str]) -> str:
        """Find the container of {namespace}/{pod}/{container} or {namespace}/{pod}/{uid}/{container}."""
        pod = self._pod(rest[0], rest[1])
        if len(rest) == 4 and pod["metadata"].get("uid") != rest[2]:
            raise HostError(404, "pod not found")
        _require_container(pod, rest[-1])
        return await self._host.running_container(pod, rest[-1])


def _require_container(pod: Object, container: str) -> None:
    fields = ("initContainers", "containers", "ephemeralContainers")
    if not any(entry["name"] == container for field in fields for entry in pod["spec"].get(field) or ()):
        raise HostError(404, f'container "{container}" not found in pod "{pod["metadata"]["name"]}"')


_EXACT: Mapping[str, Handle] = {
    "healthz": Routes.healthz,
    "pods": Routes.pods,
    "runningpods": Routes.pods,
    "stats/summary": Routes.stats_summary,
    "metrics": Routes.metrics,
    "metrics/resource": Routes.resource_metrics,
}
_PREFIXES: Mapping[tuple[str, int], Handle] = {
    ("volumes", 1): Routes.volumes,
    ("containerLogs", 3): Routes.container_logs,
    ("exec", 3): Routes.exec,
    ("exec", 4): Routes.exec,
    ("attach", 3): Routes.attach,
    ("attach", 4): Routes.attach,
    ("portForward", 2): Routes.port_forward,
    ("portForward", 3): Routes.port_forward,
}
_TREES: Mapping[str, Handle] = {"logs": Routes.logs}
