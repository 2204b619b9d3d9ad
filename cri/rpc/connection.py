"""A client's connection: HTTP/2 on one side, whole calls on the other.

One thread at a time reads (the server sees to it); any thread writes, whole frames under a lock. What a
client may send ahead is bounded by one message a stream and by what all may hold; what is sent to it, by its
windows. The thread that reads never waits for a client that does not: what frames ask for in return is kept
until there is room, and only so much of it.
Source: RFC 9113, its section 10.5 for the limits.
"""

import contextlib
import socket
import struct
import threading
import time

import hpack

from cri.rpc import frames
from cri.rpc.call import Call
from cri.rpc.frames import Code, FrameError, Kind, Setting
from cri.rpc.headers import Headers

MESSAGE_BYTES_MAX = 16 << 20  # what kubelet and crictl allow themselves. Source: k8s.io/cri-client maxMsgSize
_STREAMS_MAX = 2000
_HELD_BYTES_MAX = 64 << 20  # of requests that are not answered yet
_BLOCK_BYTES_MAX = 16 << 10  # as grpcio's server takes
_CONTINUATIONS_MAX = 32
_SETTINGS_MAX = 1000  # without a call between them
_READ_BYTES = 64 << 10
_REPLY_BYTES_MAX = 64 << 10
_SEND_TIMEOUT_S = 10  # a client that does not take a message in so long is gone
_STREAM_WINDOW = MESSAGE_BYTES_MAX + frames.MESSAGE_HEAD.size
_CONNECTION_WINDOW = 1 << 30
_GREETING = frames.settings(
    {
        Setting.MAX_CONCURRENT_STREAMS: _STREAMS_MAX,
        Setting.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
        Setting.MAX_HEADER_LIST_SIZE: _BLOCK_BYTES_MAX,
    }
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
        self._headers = Headers(_BLOCK_BYTES_MAX)
        self._block: tuple[int, int, bytes] | None = None  # headers that are continued: stream, flags, block
        self._continuations = self._settings = 0
        self._ready: list[Call] = []
        self._last_stream = 0
        self._unfinished = 0  # calls that are in self.calls, or were reset and still wait for a thread
        self._held = 0  # bytes of their requests
        self._replies = bytearray()  # whole frames, but for the first, to be written before any other
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
            self._flush()
            self._receive()
            return self._ready
        except FrameError as err:
            with contextlib.suppress(Closed, FrameError):
                self._reply(frames.go_away(self._last_stream, err.code))
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
        with contextlib.suppress(Closed, FrameError):
            self._reply(frames.go_away(self._last_stream, Code.NO_ERROR))

    def forget(self, call: Call) -> None:
        """Let go of a complete call that is answered, or will not be."""
        self.calls.pop(call.stream, None)
        call.end()
        self._release(call)

    # what is written

    @property
    def has_replies(self) -> bool:
        """Frames wait until there is room for them: read() writes them."""
        return bool(self._replies)

    def write(self, data: bytes) -> None:
        """Send whole frames. Raises Closed."""
        deadline = time.monotonic() + _SEND_TIMEOUT_S
        try:
            with self._writing:
                if self._replies:
                    late = bytes(self._replies)
                    del self._replies[: len(late)]
                    data = late + data
                while (sent := self.sock.send(data)) < len(data):
                    data = data[sent:]
                    if time.monotonic() > deadline:
                        raise TimeoutError("it takes too little")
        except OSError as err:
            raise self._broken(err) from err
        self._flush()  # what came to wait for this

    def _reply(self, data: bytes) -> None:
        """Send whole frames as soon as there is room, without waiting. Raises Closed, FrameError."""
        self._replies += data
        self._flush()
        if len(self._replies) > _REPLY_BYTES_MAX:
            raise FrameError(Code.ENHANCE_YOUR_CALM, "replies are not read")

    def _flush(self) -> None:
        """Send what replies there is room for, unless somebody writes, who will. Raises Closed."""
        while self._replies and self._writing.acquire(blocking=False):
            try:
                sent = self.sock.send(bytes(self._replies), socket.MSG_DONTWAIT)
                del self._replies[:sent]
            except BlockingIOError:
                return
            except OSError as err:
                raise self._broken(err) from err
            finally:
                self._writing.release()

    def _broken(self, err: OSError) -> Closed:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # the reader then sees the end
        return Closed(f"cannot write to client: {err}")

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
        deadline = time.monotonic() + _SEND_TIMEOUT_S
        size = self._take_window(call, len(data), deadline)
        while size < len(data):
            self.write(head + frames.data(call.stream, data[:size]))
            head, data = b"", data[size:]
            size = self._take_window(call, len(data), deadline)
        self.write(head + frames.data(call.stream, data) + end)

    def finish(self, call: Call, status: int, details: str) -> None:
        """Send the end of a call. Raises Closed."""
        if not call.is_over:
            self.write(frames.trailers(call.stream, status, details, is_only=not call.has_begun))

    def _take_window(self, call: Call, wanted: int, deadline: float) -> int:
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
                if time.monotonic() > deadline:
                    raise self._broken(TimeoutError("its windows are closed"))
                self._windows.wait(1.0)

    def _leave(self, call: Call) -> None:
        if self.calls.pop(call.stream, None) is None:
            return
        call.end()
        if not call.is_complete:  # else a thread will come to forget it
            self._release(call)
        with self._windows:
            self._windows.notify_all()

    def _release(self, call: Call) -> None:
        with self._windows:
            self._unfinished -= 1
            self._held -= len(call.request)

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
            if len(payload) != 8:
                raise FrameError(Code.FRAME_SIZE, "ping of another length")
            if not flags & frames.ACK:
                self._reply(frames.frame(Kind.PING, frames.ACK, 0, payload))
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
        self._continuations += 1
        if self._continuations > _CONTINUATIONS_MAX:
            raise FrameError(Code.ENHANCE_YOUR_CALM, "headers come in too many pieces")
        both = first_flags & frames.END_STREAM | flags & frames.END_HEADERS
        self._on_block(stream, both, block + payload)

    def _on_block(self, stream: int, flags: int, block: bytes) -> None:
        if not flags & frames.END_HEADERS:
            self._block = stream, flags, block
            return
        self._continuations = 0
        try:
            headers = self._headers.decode(block)
        except hpack.HPACKError as err:
            raise FrameError(Code.COMPRESSION, f"cannot decode headers: {err}") from err
        call = self.calls.get(stream)
        if call is None:
            call = self._open(stream, headers)
        if call is not None and flags & frames.END_STREAM:
            self._complete(call)

    def _open(self, stream: int, headers: dict[bytes, bytes]) -> Call | None:
        """Begin a call, whose path is "" if it is none that can be answered."""
        if stream <= self._last_stream:
            return None  # the end of one that is over
        if not stream % 2:
            raise FrameError(Code.PROTOCOL, f"stream {stream} is not a client's")
        self._last_stream = stream
        self._settings = 0
        if self._unfinished >= _STREAMS_MAX:
            self._reply(frames.rst_stream(stream, Code.REFUSED_STREAM))
            return None
        call = Call(self, stream, self._stream_window)
        is_call = headers.get(b"content-type", b"").startswith(b"application/grpc")
        if is_call and headers.get(b":method") == b"POST":
            call.path = headers.get(b":path", b"").decode("latin-1")
        if timeout := headers.get(b"grpc-timeout"):
            with contextlib.suppress(ValueError):
                call.deadline = time.monotonic() + frames.timeout_s(timeout.decode("latin-1"))
        self.calls[stream] = call
        with self._windows:
            self._unfinished += 1
        return call

    def _complete(self, call: Call) -> None:
        if call.is_complete:
            raise FrameError(Code.STREAM_CLOSED, "a request ends twice")
        call.is_complete = True
        self._ready.append(call)

    def _on_data(self, stream: int, flags: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken > _CONNECTION_WINDOW // 2:
            self._reply(frames.window_update(0, self._taken))
            self._taken = 0
        call = self.calls.get(stream)
        if call is None:
            return  # of a call that is over
        if call.is_complete:
            raise FrameError(Code.STREAM_CLOSED, "a request goes on after its end")
        content = frames.unpadded(flags & frames.PADDED, payload)
        call.request += content
        with self._windows:
            self._held += len(content)
        if len(call.request) > _STREAM_WINDOW:
            raise FrameError(Code.FLOW_CONTROL, "more was sent than the window allows")
        if self._held > _HELD_BYTES_MAX:
            raise FrameError(Code.ENHANCE_YOUR_CALM, "too many large requests at once")
        if flags & frames.END_STREAM:
            self._complete(call)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        if len(payload) % 6:
            raise FrameError(Code.FRAME_SIZE, "settings are cut off")
        self._settings += 1
        if self._settings > _SETTINGS_MAX:
            raise FrameError(Code.ENHANCE_YOUR_CALM, "settings change all the time")
        for name, value in dict(struct.iter_unpack(">HI", payload)).items():
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._widen(value)
            elif name == Setting.MAX_FRAME_SIZE:
                self._payload_max = min(max(value, frames.PAYLOAD_BYTES), 1 << 20)
        self._reply(frames.frame(Kind.SETTINGS, frames.ACK, 0))

    def _widen(self, size: int) -> None:
        if size > frames.WINDOW_BYTES_MAX:
            raise FrameError(Code.FLOW_CONTROL, "window too large")
        with self._windows:
            for call in list(self.calls.values()):
                call.window += size - self._stream_window
            self._stream_window = size
            self._windows.notify_all()

    def _on_window_update(self, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise FrameError(Code.FRAME_SIZE, "window update of another length")
        count = int.from_bytes(payload, "big") & frames.WINDOW_BYTES_MAX
        with self._windows:
            call = self.calls.get(stream)
            if not stream:
                self._window += count
            elif call:
                call.window += count
            if max(self._window, call.window if call else 0) > frames.WINDOW_BYTES_MAX:
                raise FrameError(Code.FLOW_CONTROL, "window too large")
            self._windows.notify_all()
