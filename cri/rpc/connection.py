"""A client's connection: HTTP/2 on one side, whole calls on the other.

One thread at a time reads (the server sees to it); any thread writes, whole frames under a lock. What a
client may send ahead is bounded by one message a stream; what is sent to it, by its windows.
Source: RFC 9113.
"""

import contextlib
import socket
import struct
import threading
import time

from cri.rpc import frames, hpack
from cri.rpc.call import Call
from cri.rpc.frames import Code, FrameError, Kind, Setting

MESSAGE_BYTES_MAX = 16 << 20  # what kubelet and crictl allow themselves. Source: k8s.io/cri-client maxMsgSize
_STREAMS_MAX = 2000
_BLOCK_BYTES_MAX = 64 << 10
_READ_BYTES = 64 << 10
_SEND_TIMEOUT_S = 10  # a client that takes nothing for so long is gone
_STREAM_WINDOW = MESSAGE_BYTES_MAX + frames.MESSAGE_HEAD.size
_CONNECTION_WINDOW = 1 << 30
_GREETING = frames.settings(
    {Setting.MAX_CONCURRENT_STREAMS: _STREAMS_MAX, Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW}
) + frames.window_update(0, _CONNECTION_WINDOW - frames.WINDOW_BYTES)


class Closed(Exception):
    """The connection is at its end."""


class Connection:
    """sock is the connection's from now on, blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.calls: dict[int, Call] = {}  # by stream: still to come, or being answered
        self._unread = b""
        self._has_preface = False
        self._decoder = hpack.Decoder()
        self._block: tuple[int, int, bytes] | None = None  # headers that are continued: stream, flags, block
        self._ready: list[Call] = []
        self._last_stream = 0
        self._taken = 0  # bytes the client has not been told we took
        self._writing = threading.Lock()
        self._windows = threading.Condition()
        self._window = frames.WINDOW_BYTES
        self._stream_window = frames.WINDOW_BYTES
        self._payload_max = frames.PAYLOAD_BYTES
        timeout = struct.pack("@ll", _SEND_TIMEOUT_S, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self.write(_GREETING)

    def read(self) -> list[Call]:
        """Take what has come; the calls whose requests are complete now. Raises Closed."""
        try:
            self._receive()
            return self._ready
        except FrameError as err:
            with contextlib.suppress(Closed):
                self.write(frames.go_away(self._last_stream, err.code))
            raise Closed(str(err)) from err
        finally:
            self._ready = []

    def close(self) -> None:
        """End the connection; calls that are being answered learn that nobody waits."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with self._writing:
            self.sock.close()
        for call in list(self.calls.values()):
            self._leave(call)

    def go_away(self) -> None:
        """Ask the client to make no more calls here."""
        with contextlib.suppress(Closed):
            self.write(frames.go_away(self._last_stream, Code.NO_ERROR))

    # what is written

    def write(self, data: bytes) -> None:
        """Send whole frames. Raises Closed."""
        try:
            with self._writing:
                self.sock.sendall(data)
        except OSError as err:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # the reader then sees the end
            raise Closed(f"cannot write to client: {err}") from err

    def begin(self, call: Call) -> None:
        """Send the headers of an answer, once."""
        if not call.has_begun and not call.is_over:
            call.has_begun = True
            with contextlib.suppress(Closed):
                self.write(frames.response_head(call.stream))

    def send(self, call: Call, message: bytes, *, is_last: bool) -> None:
        """Send a message, with the end of a call that went well if it is the last. Raises Closed."""
        head = b"" if call.has_begun else frames.response_head(call.stream)
        call.has_begun = True
        data = frames.MESSAGE_HEAD.pack(0, len(message)) + message
        end = frames.trailers(call.stream) if is_last else b""
        size = self._take_window(call, len(data))
        while size < len(data):
            self.write(head + frames.data(call.stream, data[:size]))
            head, data = b"", data[size:]
            size = self._take_window(call, len(data))
        self.write(head + frames.data(call.stream, data) + end)

    def finish(self, call: Call, status: int, details: str) -> None:
        """Send the end of a call. Raises Closed."""
        if not call.is_over:
            self.write(frames.trailers(call.stream, status, details, is_only=not call.has_begun))

    def _take_window(self, call: Call, wanted: int) -> int:
        """Wait until some bytes may be sent, then count them as sent. Raises Closed."""
        with self._windows:
            while True:
                if not call.is_active():
                    raise Closed("the client gave up")
                size = min(wanted, self._window, call.window, self._payload_max)
                if size > 0:
                    self._window -= size
                    call.window -= size
                    return size
                self._windows.wait(1.0)

    def _leave(self, call: Call) -> None:
        self.calls.pop(call.stream, None)
        call.end()
        with self._windows:
            self._windows.notify_all()

    # what is read

    def _receive(self) -> None:
        try:
            data = self.sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as err:
            raise Closed(str(err)) from err
        if not data:
            raise Closed("end of file")
        data = self._unread + data
        at = 0
        if not self._has_preface:
            if len(data) < len(frames.PREFACE) and frames.PREFACE.startswith(data):
                self._unread = data
                return
            if not data.startswith(frames.PREFACE):
                raise Closed("no HTTP/2 client")
            self._has_preface = True
            at = len(frames.PREFACE)
        while len(data) - at >= frames.HEAD_BYTES:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > frames.PAYLOAD_BYTES:
                raise FrameError(Code.FRAME_SIZE, f"frame of {length} bytes")
            end = at + frames.HEAD_BYTES + length
            if end > len(data):
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & frames.WINDOW_BYTES_MAX
            self._on_frame(data[at + 3], data[at + 4], stream, data[at + frames.HEAD_BYTES : end])
            at = end
        self._unread = data[at:]

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if (self._block is not None) != (kind == Kind.CONTINUATION):
            raise FrameError(Code.PROTOCOL, "headers are not continued, or nothing is")
        if kind == Kind.HEADERS:
            self._on_block(stream, flags, frames.unpadded(flags, payload))
        elif kind == Kind.CONTINUATION:
            self._on_continuation(stream, flags, payload)
        elif kind == Kind.DATA:
            self._on_data(stream, flags, payload)
        elif kind == Kind.SETTINGS:
            self._on_settings(flags, payload)
        elif kind == Kind.PING:
            if not flags & frames.ACK:
                self.write(frames.frame(Kind.PING, frames.ACK, 0, payload))
        elif kind == Kind.WINDOW_UPDATE:
            self._on_window_update(stream, payload)
        elif kind == Kind.RST_STREAM:
            if call := self.calls.get(stream):
                self._leave(call)
        elif kind == Kind.PUSH_PROMISE:
            raise FrameError(Code.PROTOCOL, "a client pushes nothing")

    def _on_continuation(self, stream: int, flags: int, payload: bytes) -> None:
        assert self._block is not None
        of, first_flags, block = self._block
        self._block = None
        if stream != of or len(block) + len(payload) > _BLOCK_BYTES_MAX:
            raise FrameError(Code.PROTOCOL, "headers are continued on another stream, or too large")
        both = first_flags & frames.END_STREAM | flags & frames.END_HEADERS
        self._on_block(stream, both, block + payload)

    def _on_block(self, stream: int, flags: int, block: bytes) -> None:
        if not flags & frames.END_HEADERS:
            self._block = stream, flags, block
            return
        try:
            headers = self._decoder.decode(block)
        except ValueError as err:
            raise FrameError(Code.COMPRESSION, str(err)) from err
        call = self.calls.get(stream)
        if call is None:
            call = self._open(stream, dict(headers))
        if call is not None and flags & frames.END_STREAM:
            self._ready.append(call)

    def _open(self, stream: int, headers: dict[str, str]) -> Call | None:
        """Begin a call, whose path is "" if it is none that can be answered."""
        if stream <= self._last_stream:
            return None  # the end of one that is over
        if not stream % 2:
            raise FrameError(Code.PROTOCOL, f"stream {stream} is not a client's")
        self._last_stream = stream
        if len(self.calls) >= _STREAMS_MAX:
            self.write(frames.rst_stream(stream, Code.REFUSED_STREAM))
            return None
        call = Call(self, stream, self._stream_window)
        is_call = headers.get("content-type", "").startswith("application/grpc")
        if is_call and headers.get(":method") == "POST":
            call.path = headers.get(":path", "")
        with contextlib.suppress(ValueError):
            call.deadline = time.monotonic() + frames.timeout_s(headers.get("grpc-timeout", ""))
        self.calls[stream] = call
        return call

    def _on_data(self, stream: int, flags: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken > _CONNECTION_WINDOW // 2:
            self.write(frames.window_update(0, self._taken))
            self._taken = 0
        call = self.calls.get(stream)
        if call is None:
            return  # of a call that is over
        call.request += frames.unpadded(flags & frames.PADDED, payload)
        if len(call.request) > _STREAM_WINDOW:
            raise FrameError(Code.FLOW_CONTROL, "more was sent than the window allows")
        if flags & frames.END_STREAM:
            self._ready.append(call)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        if len(payload) % 6:
            raise FrameError(Code.FRAME_SIZE, "settings are cut off")
        for name, value in struct.iter_unpack(">HI", payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._widen(value)
            elif name == Setting.MAX_FRAME_SIZE:
                self._payload_max = min(max(value, frames.PAYLOAD_BYTES), 1 << 20)
        self.write(frames.frame(Kind.SETTINGS, frames.ACK, 0))

    def _widen(self, size: int) -> None:
        if size > frames.WINDOW_BYTES_MAX:
            raise FrameError(Code.FLOW_CONTROL, "window too large")
        with self._windows:
            for call in list(self.calls.values()):
                call.window += size - self._stream_window
            self._stream_window = size
            self._windows.notify_all()

    def _on_window_update(self, stream: int, payload: bytes) -> None:
        count = int.from_bytes(payload, "big") & frames.WINDOW_BYTES_MAX
        with self._windows:
            if not stream:
                self._window += count
            elif call := self.calls.get(stream):
                call.window += count
            if self._window > frames.WINDOW_BYTES_MAX:
                raise FrameError(Code.FLOW_CONTROL, "window too large")
            self._windows.notify_all()
