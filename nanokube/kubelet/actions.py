"""What probes and lifecycle hooks do: run a command, ask over HTTP, open a TCP connection, sleep.

Source: pkg/kubelet/lifecycle/handlers.go, pkg/probe/*.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from nanokube.api.varint import varint
from nanokube.kit import addresses
from nanokube.kubelet.runtime import FaultKind, Runtime, RuntimeFault

Object = Mapping[str, Any]

MAX_BODY = 10 * 1024  # pkg/probe/http: maxRespBodyLength
MAX_REDIRECTS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended. "warning" counts as success but is told."""

    result: Literal["success", "warning", "failure", "unknown"]
    output: str = ""

    @property
    def is_success(self) -> bool:
        return self.result in ("success", "warning")


def find_port(container: Object, port: int | str) -> int:
    """Resolve a port by number or name. Raises ValueError."""
    if isinstance(port, int):
        return port
    for known in container.get("ports") or ():
        if known.get("name") == port:
            return int(known["containerPort"])
    return int(port)


async def run_command(runtime: Runtime, container_id: str, command: list[str], timeout_s: float) -> Outcome:
    """Run a command in a container; exit code 0 is success."""
    try:
        answer = await runtime.exec_sync(container_id, command, timeout_s)
    except RuntimeFault as fault:
        if fault.kind is FaultKind.TIMEOUT:
            return Outcome(
                "failure", f"command timed out: {' '.join(command)!r} timed out after {timeout_s:g}s"
            )
        return Outcome("unknown", fault.message)
    output = (answer.stdout + answer.stderr)[:MAX_BODY].decode("utf-8", "replace")
    return Outcome("success" if answer.exit_code == 0 else "failure", output)


async def get(action: Object, container: Object, pod_ip: str, timeout_s: float, agent: str) -> Outcome:
    """Ask over HTTP: 200 to 399 is success. A redirect to another host is not followed but is success."""
    scheme = (action.get("scheme") or "HTTP").lower()
    try:
        port = find_port(container, action["port"])
    except ValueError:
        return Outcome("unknown", f"couldn't find port {action['port']!r}")
    host = action.get("host") or pod_ip
    path = action.get("path") or "/"
    headers = [(h["name"], h["value"]) for h in action.get("httpHeaders") or ()]
    url = f"{scheme}://{addresses.host_port(host, port)}{path if path.startswith('/') else '/' + path}"
    try:
        async with asyncio.timeout(timeout_s):
            return await _follow(url, headers, agent)
    except TimeoutError:
        message = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Outcome("failure", f'Get "{url}": {message}')
    except (OSError, ValueError, EOFError) as error:
        return Outcome("failure", f'Get "{url}": {_cause(error)}')


async def _follow(url: str, headers: list[tuple[str, str]], agent: str) -> Outcome:
    first_host = urlsplit(url).hostname
    for _ in range(MAX_REDIRECTS):
        status, location, body = await _request(url, headers, agent)
        if status in (301, 302, 303, 307, 308) and location:
            following = location if "://" in location else _joined(url, location)
            if urlsplit(following).hostname != first_host:
                return Outcome("warning", f"Probe terminated redirects, Response body: {body}")
            url = following
            continue
        if 200 <= status < 400:
            return Outcome("success", body)
        return Outcome("failure", f"HTTP probe failed with statuscode: {status}")
    return Outcome("failure", f'Get "{url}": stopped after {MAX_REDIRECTS} redirects')


async def _request(url: str, headers: list[tuple[str, str]], agent: str) -> tuple[int, str, str]:
    """Send one GET on its own connection; return status, Location and the start of the body."""
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # upstream skips verification: probes know no CA
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        given = {name.lower() for name, _ in headers}
        lines = [f"GET {target or '/'} HTTP/1.1"]
        defaults = [("Host", parts.netloc), ("User-Agent", agent), ("Accept", "*/*")]
        for name, value in [*((n, v) for n, v in defaults if n.lower() not in given), *headers]:
            if value or name.lower() not in ("user-agent", "accept"):
                lines.append(f"{name}: {value}")
        lines.append("Connection: close")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header contains a line break")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *rest = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        location = next((h.partition(":")[2].strip() for h in rest if h.lower().startswith("location:")), "")
        body = await _body(reader, rest)
        return status, location, body
    except IndexError as error:
        raise ValueError("malformed HTTP response") from error
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, headers: list[str]) -> str:
    length = next(
        (int(h.partition(":")[2]) for h in headers if h.lower().startswith("content-length:")), None
    )
    wanted = MAX_BODY if length is None else min(length, MAX_BODY)
    body = b""
    while len(body) < wanted and (chunk := await reader.read(wanted - len(body))):
        body += chunk
    return body.decode("utf-8", "replace")


async def connect(host: str, port: int, timeout_s: float) -> Outcome:
    """Open a TCP connection and close it."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome("failure", f"dial tcp {addresses.host_port(host, port)}: i/o timeout")
    except OSError as error:
        return Outcome("failure", f"dial tcp {addresses.host_port(host, port)}: {_cause(error)}")
    writer.close()
    return Outcome("success")


async def check_grpc(host: str, port: int, service: str, timeout_s: float) -> Outcome:
    """Ask grpc.health.v1.Health/Check; SERVING is success.

    The messages are one field each, so they are encoded by hand: field 1, a string; field 1, an enum.
    """
    import grpc
    import grpc.aio

    name = service.encode()
    request = b"\x0a" + varint(len(name)) + name if name else b""
    address = addresses.host_port(host, port)
    clock = asyncio.get_running_loop()
    ends = clock.time() + timeout_s
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            async with asyncio.timeout(timeout_s):
                await channel.channel_ready()  # upstream's dial blocks: who starts late may still answer
        except TimeoutError:
            said = f'timeout: failed to connect service "{address}" within {timeout_s:g}s'
            return Outcome("failure", f"{said}: context deadline exceeded")
        check = channel.unary_unary("/grpc.health.v1.Health/Check", lambda b: b, lambda b: b)
        try:
            answer: bytes = await check(request, timeout=max(0.0, ends - clock.time()))
        except grpc.aio.AioRpcError as error:
            return Outcome("failure", f"error: health rpc failed: {error.details()}")
    if answer[:2] == b"\x08\x01":
        return Outcome("success", "service healthy")
    return Outcome("failure", "service unhealthy (responded with another status than SERVING)")


def _joined(url: str, location: str) -> str:
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    return base + (location if location.startswith("/") else "/" + location)


def _cause(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, EOFError):
        return "EOF"
    return str(error) or type(error).__name__
