"""Leaving HTTP for SPDY or WebSocket: which one a request asks for, and the fields of the answer. Pure.

Source: k8s.io/streaming pkg/httpstream (Handshake), RFC 6455 section 4.
"""

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

SPDY = "SPDY/3.1"
PROTOCOL_VERSION = "X-Stream-Protocol-Version"
ACCEPTED_VERSIONS = "X-Accepted-Stream-Protocol-Versions"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Fields = Iterable[tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What the client wants to switch to.

    protocols: X-Stream-Protocol-Version values, or the WebSocket subprotocols, in the client's order.
    key: Sec-WebSocket-Key; empty for SPDY.
    """

    is_websocket: bool
    protocols: tuple[str, ...]
    key: str = ""


def parse(fields: Fields) -> Wish | None:
    """Read a request's header fields; None if it asks for neither."""
    items = [(name.lower(), value) for name, value in fields]
    upgrade = _tokens(items, "upgrade")
    if "upgrade" not in (token.lower() for token in _tokens(items, "connection")):
        return None
    if SPDY.lower() in (token.lower() for token in upgrade):
        return Wish(False, _tokens(items, PROTOCOL_VERSION.lower()))
    if "websocket" in (token.lower() for token in upgrade):
        key = next((value.strip() for name, value in items if name == "sec-websocket-key"), "")
        return Wish(True, _tokens(items, "sec-websocket-protocol"), key)
    return None


def is_valid_key(key: str) -> bool:
    """Tell whether a Sec-WebSocket-Key is base64 of 16 bytes."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accept_fields(wish: Wish, protocol: str) -> list[tuple[str, str]]:
    """Return the answer's fields beside Connection and Upgrade. protocol: the one chosen, or ""."""
    if not wish.is_websocket:
        return [(PROTOCOL_VERSION, protocol)] if protocol else []
    accept = base64.b64encode(hashlib.sha1(wish.key.encode() + _GUID).digest()).decode()
    chosen = [("Sec-WebSocket-Protocol", protocol)] if protocol else []
    return [("Sec-WebSocket-Accept", accept), *chosen]


def name(wish: Wish) -> str:
    """Return the value of the answer's Upgrade field."""
    return "websocket" if wish.is_websocket else SPDY


def refusal_fields(supported: Sequence[str]) -> list[tuple[str, str]]:
    """Return the fields of a 403 that names the protocols which are spoken here."""
    return [(ACCEPTED_VERSIONS, protocol) for protocol in supported]


def _tokens(items: Sequence[tuple[str, str]], name: str) -> tuple[str, ...]:
    values = (value for key, value in items if key == name)
    return tuple(token for value in values for part in value.split(",") if (token := part.strip()))
