"""The streaming server: exec, attach and port-forward behind one-shot URLs, on a thread of its own."""

from cri.api import runtime_pb2
from cri.streaming import backend as backends


class InvalidRequest(ValueError):
    """A streaming request breaks CRI's rules (gRPC INVALID_ARGUMENT)."""


class TooManyRequests(Exception):
    """More URLs were asked for than may wait to be used (gRPC RESOURCE_EXHAUSTED)."""


class StreamingServer:
    """Serves CRI streams over HTTP/1.1. Its methods may be called from any thread."""

    def __init__(self, backend: backends.Backend, *, address: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare; port 0 lets the kernel choose."""
        raise NotImplementedError

    def start(self) -> None:
        """Listen and serve on a new daemon thread; returns once listening. Raises OSError."""
        raise NotImplementedError

    def stop(self) -> None:
        """End all streams, close the listener and join the thread."""
        raise NotImplementedError

    def exec_url(self, request: runtime_pb2.ExecRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        raise NotImplementedError

    def attach_url(self, request: runtime_pb2.AttachRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        raise NotImplementedError

    def port_forward_url(self, request: runtime_pb2.PortForwardRequest) -> str:
        """Return a URL, good once and for one minute. Raises InvalidRequest, TooManyRequests."""
        raise NotImplementedError
