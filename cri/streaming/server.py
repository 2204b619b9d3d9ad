"""The streaming server: exec, attach and port-forward behind one-shot URLs, on a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import h11

from cri.api import runtime_pb2
from cri.streaming import backend as backends
from cri.streaming import serve, tokens
from cri.streaming.http import Exchange
from cri.wire import remotecommand
from cri.wire.errors import ProtocolError

MAX_CONNECTIONS = 1024
PORT_MAX = 0xFFFF
WORKER_THREADS = 32  # backend calls are short: a worker is not held for the length of a session

log = logging.getLogger(__name__)

TooManyRequests = tokens.TooManyRequests


class InvalidRequest(ValueError):
    """A streaming request breaks CRI's rules (gRPC INVALID_ARGUMENT)."""


class StreamingServer:
    """Serves CRI streams over HTTP/1.1. Its methods may be called from any thread."""

    def __init__(self, backend: backends.Backend, *, address: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare; port 0 lets the kernel choose."""
        self._backend, self._address, self._port = backend, address, port
        self._tokens: tokens.Tokens[serve.Call] = tokens.Tokens(time.monotonic)
        self._workers = concurrent.futures.ThreadPoolExecutor(WORKER_THREADS, "cri-stream")
        self._started: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run_thread, name="cri-streaming", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Listen and serve on a new daemon thread; returns once listening. Raises OSError."""
        self._thread.start()
        self._port = self._started.result()

    def stop(self) -> None:
        """End all streams, close the listener and join the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def exec_url(self, request: runtime_pb2.ExecRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        _require("container_id", request.container_id)
        options = _options(request)
        return self._url("exec", serve.ExecCall(request.container_id, options, tuple(request.cmd)))

    def attach_url(self, request: runtime_pb2.AttachRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        _require("container_id", request.container_id)
        return self._url("attach", serve.AttachCall(request.container_id, _options(request)))

    def port_forward_url(self, request: runtime_pb2.PortForwardRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        _require("pod_sandbox_id", request.pod_sandbox_id)
        for port in request.port:
            if not 0 < port <= PORT_MAX:
                raise InvalidRequest(f"cannot forward to port {port}: no such port")
        return self._url("portforward", serve.ForwardCall(request.pod_sandbox_id, tuple(request.port)))

    def _url(self, verb: str, call: serve.Call) -> str:
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{host}:{self._port}/{verb}/{self._tokens.issue(call)}"

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._run())
        except OSError as err:
            if self._started.done():
                raise
            self._started.set_exception(err)

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, self._address, self._port, backlog=256)
        async with server:
            self._started.set_result(server.sockets[0].getsockname()[1])
            await self._stopping.wait()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.to_thread(self._workers.shutdown)  # every session that was opened gets closed

    def _call(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        return self._loop.run_in_executor(self._workers, function)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        try:
            self._tasks.add(task)
            if len(self._tasks) <= MAX_CONNECTIONS:
                await self._exchange(Exchange(reader, writer))
        except (ConnectionError, TimeoutError, ProtocolError, h11.ProtocolError) as err:
            log.debug("connection ended: %s", err)
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except Exception:
            log.exception("stream failed")
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, exchange: Exchange) -> None:
        if not await exchange.read_head():
            return
        path = exchange.target.partition("?")[0]
        verb, _, token = path.removeprefix("/").partition("/")
        call = self._tokens.redeem(token)
        if call is None or call.verb != verb:
            await exchange.refuse(404, "404 page not found")
            return
        if exchange.method not in ("GET", "POST"):
            await exchange.refuse(405, "405: Method Not Allowed")
            return
        await serve.serve(exchange, call, self._backend, self._call)


def _require(field: str, value: str) -> None:
    if not value:
        raise InvalidRequest(f"missing required {field}")


def _options(request: runtime_pb2.ExecRequest | runtime_pb2.AttachRequest) -> remotecommand.Options:
    options = remotecommand.Options(request.stdin, request.stdout, request.stderr, request.tty)
    if problem := options.problem():
        raise InvalidRequest(problem)
    return options
