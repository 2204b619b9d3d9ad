"""What port-forward says about its streams: ports, pairs of a data and an error stream. Pure.

Source: k8s.io/cri-streaming pkg/streaming/portforward; apimachinery pkg/util/portforward (KEP-4006).
"""

import dataclasses
from collections.abc import Iterable, Sequence

from cri.wire.errors import RemoteProtocolError
from cri.wire.spdy.headers import Headers

PROTOCOL = "portforward.k8s.io"  # over SPDY
TUNNEL_PREFIX = "SPDY/3.1+"  # a WebSocket whose binary messages carry SPDY bytes
TUNNEL_PROTOCOL = TUNNEL_PREFIX + PROTOCOL
STREAM_TYPE, PORT, REQUEST_ID = "streamtype", "port", "requestid"
DATA, ERROR = "data", "error"


@dataclasses.dataclass(frozen=True, slots=True)
class Role:
    """What one SPDY stream is: the data or the error stream of one forwarded connection."""

    request_id: str
    kind: str
    port: int


def role(stream_id: int, headers: Headers) -> Role:
    """Read a stream's headers. Raises RemoteProtocolError.

    Clients older than Kubernetes 1.2 send no request id; their pairs are neighbours, the error stream first.
    """
    kind = headers.get(STREAM_TYPE, "")
    if kind not in (DATA, ERROR):
        raise RemoteProtocolError(f"cannot accept stream type {kind!r}")
    request_id = headers.get(REQUEST_ID) or str(stream_id if kind == ERROR else stream_id - 2)
    return Role(request_id, kind, parse_port(headers.get(PORT, "")))


def parse_port(text: str) -> int:
    """Read a TCP port, 1 to 65535. Raises RemoteProtocolError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 0xFFFF):
        raise RemoteProtocolError(f"cannot accept port {text[:20]!r}")
    return int(text)


def parse_ports(values: Iterable[str]) -> tuple[int, ...]:
    """Read the ports of a WebSocket request: repeated values, each a list with commas."""
    return tuple(parse_port(text) for value in values for text in value.split(","))


def port_prefix(port: int) -> bytes:
    """Return what each of a port's two WebSocket channels begins with."""
    return port.to_bytes(2, "little")


def is_tunnel(offered: Sequence[str]) -> bool:
    """Tell whether a WebSocket client asks for SPDY inside."""
    return TUNNEL_PROTOCOL in offered
