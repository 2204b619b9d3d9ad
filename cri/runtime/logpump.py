"""The log pump: reads every container's output, writes CRI log files, copies to attached clients.

One process for the node. Containers hold their FIFOs open for reading too: when this process dies they block
at 64 KiB, and go on when a new pump opens the FIFOs. A client that does not read holds up its container's
stream (as a terminal would), not the log of others.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import select
import socket
import stat
import time

from cri.linux import prctl
from cri.runtime import packets
from cri.runtime.logline import Splitter
from cri.runtime.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger(__name__)

_CHUNK = 64 << 10


class Stream:
    """One output of a container."""

    def __init__(self, pump: LogPump, source: Source, fd: int, name: str) -> None:
        self.fd = fd
        self._pump = pump
        self._source = source
        self._splitter = Splitter(name)
        self._taps: dict[int, bytes] = {}  # descriptor -> what it has not taken yet
        os.set_blocking(fd, False)
        pump.loop.add(fd, self.read)

    def read(self) -> None:
        """Move what is there, one chunk; at the end of the stream, close."""
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: a terminal without its last peer
            data = b""
        if not data:
            self.close()
            return
        self._source.write(self._splitter.feed(data, time.time_ns()))
        for tap in list(self._taps):
            self._offer(tap, data)

    def drain(self) -> None:
        """Move all that is there, then close."""
        for _ in range(1 << 14):
            if self.fd < 0 or not select.select([self.fd], [], [], 0)[0]:
                break
            self.read()
        self.close()

    def tap(self, fd: int) -> None:
        """Copy from now on to a descriptor, which is ours; it is closed at the stream's end."""
        if self.fd < 0:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._taps[fd] = b""

    def close(self) -> None:
        """Write the last line and let go."""
        if self.fd < 0:
            return
        self._pump.loop.remove(self.fd)
        os.close(self.fd)
        self.fd = -1
        self._source.write(self._splitter.finish(time.time_ns()))
        for tap in list(self._taps):
            if not self._taps[tap]:
                self._untap(tap)
        self._source.ended()

    def _offer(self, tap: int, data: bytes) -> None:
        data = self._taps[tap] + data
        try:
            data = data[os.write(tap, data) :]
        except BlockingIOError:
            pass
        except OSError:  # detached
            self._untap(tap)
            return
        was_waiting = bool(self._taps[tap])
        self._taps[tap] = data
        if data and not was_waiting:
            self._pump.loop.add(tap, lambda: self._offer(tap, b""), select.EPOLLOUT)
            self._pump.loop.remove(self.fd)  # hold up this stream until the client reads
        elif was_waiting and not data:
            self._pump.loop.remove(tap)
            self._resume()
            if self.fd < 0:
                self._untap(tap)

    def _untap(self, tap: int) -> None:
        self._pump.loop.remove(tap)
        del self._taps[tap]
        os.close(tap)
        self._resume()

    def _resume(self) -> None:
        if self.fd >= 0 and not any(self._taps.values()):
            self._pump.loop.remove(self.fd)
            self._pump.loop.add(self.fd, self.read)


class Source:
    """A container's streams and its log file."""

    def __init__(self, pump: LogPump, container_id: str, path: str, fds: list[int], *, tty: bool) -> None:
        self.id = container_id
        self.path = path
        self._pump = pump
        self._file = -1
        self._failed = False
        self.open()
        names = ("stdout",) if tty else ("stdout", "stderr")
        self.streams = [Stream(pump, self, fd, name) for fd, name in zip(fds, names, strict=True)]

    def open(self) -> None:
        """Open the log file by its name (again). Raises OSError."""
        if not self.path:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        fresh = os.open(self.path, flags, 0o640)
        if not stat.S_ISREG(os.fstat(fresh).st_mode):  # a pipe that nobody reads would stop us all
            os.close(fresh)
            raise OSError(errno.EINVAL, "is not a regular file", self.path)
        if self._file >= 0:
            os.close(self._file)
        self._file = fresh

    def write(self, lines: bytes) -> None:
        """Append to the log file; a full disk loses lines, it does not stop the container."""
        if not lines or self._file < 0:
            return
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
        except OSError as error:
            if not self._failed:
                log.warning("cannot write log of %s: %s", self.id, error.strerror)
            self._failed = True

    def ended(self) -> None:
        """Let go when the last stream has."""
        if all(stream.fd < 0 for stream in self.streams):
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._pump.sources.pop(self.id, None)


class LogPump:
    """Serves <run>/logs.sock: add, flush (supervisor); tap, reopen (clients)."""

    def __init__(self, run_dir: str) -> None:
        self.loop = Loop()
        self.sources: dict[str, Source] = {}
        self._connections: dict[int, socket.socket] = {}
        self._path = f"{run_dir}/logs.sock"

    def run(self) -> None:
        """Serve for ever."""
        self._listener = packets.listen(self._path)
        self.loop.add(self._listener.fileno(), self._accept)
        gc.freeze()
        prctl.set_dumpable(False)
        self.loop.run()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if not packets.peer_is_us(connection):
            connection.close()
            return
        self._connections[connection.fileno()] = connection
        self.loop.add(connection.fileno(), lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        try:
            received = packets.receive(connection)
        except (OSError, ValueError):
            received = None
        if received is None:
            self.loop.remove(connection.fileno())
            self._connections.pop(connection.fileno(), None)
            connection.close()
            return
        request, fds = received
        try:
            answer = getattr(self, f"_do_{request['op']}")(request, fds)
        except OSError as error:
            answer = {"error": ("Internal", f"cannot {request['op']}: {error}")}
        for fd in fds:
            os.close(fd)
        if answer is not None:
            try:
                packets.send(connection, answer)
            except OSError as error:
                if error.errno != errno.EPIPE:
                    log.warning("cannot answer: %s", error.strerror)

    def _do_add(self, request: dict[str, Any], fds: list[int]) -> Any:
        if request["id"] in self.sources:
            return None  # a new supervisor gives what we already have
        taken, fds[:] = list(fds), []
        try:
            source = Source(self, request["id"], request["path"], taken, tty=request["tty"])
        except (OSError, ValueError) as error:
            log.warning("cannot open log of %s: %s", request["id"], error)
            source = Source(self, request["id"], "", taken, tty=request["tty"])
        self.sources[source.id] = source
        return None

    def _do_flush(self, request: dict[str, Any], fds: list[int]) -> Any:
        if source := self.sources.get(request["id"]):
            for stream in source.streams:
                stream.drain()
        return {"flushed": request["id"]}

    def _do_reopen(self, request: dict[str, Any], fds: list[int]) -> Any:
        if source := self.sources.get(request["id"]):
            source.open()
        return {}

    def _do_tap(self, request: dict[str, Any], fds: list[int]) -> Any:
        source = self.sources.get(request["id"])
        if source is None:
            return {}  # it has ended: the client sees the end of its pipes
        given = iter(list(fds))
        fds.clear()
        for name, wanted in zip(("stdout", "stderr"), request["streams"], strict=True):
            if wanted:
                index = 0 if name == "stdout" else len(source.streams) - 1
                source.streams[index].tap(next(given))
        return {}
