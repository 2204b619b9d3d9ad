"""The bearer token of a WebSocket: browsers cannot set Authorization there, so they name it as a subprotocol.

Source: staging apiserver pkg/authentication/request/websocket/protocol.go.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from nanokube.kit.http.message import Request

PREFIX: Final = "base64url.bearer.authorization.k8s.io."
_FIELD: Final = "sec-websocket-protocol"


def take(request: Request) -> str:
    """Take the token out of the request, so that nobody behind us sees it; "" if there is none.

    Raises ValueError for one that cannot be read, for more than one, and where no other subprotocol is left
    that the server could answer with.
    """
    offered = request.headers.getall(_FIELD) if request.upgrade == "websocket" else []
    names = [name.strip() for line in offered for name in line.split(",")]
    coded = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if not coded:
        return ""
    others = [name for name in names if not name.startswith(PREFIX)]
    if len(coded) > 1 or not others:
        raise ValueError("cannot read the token of a WebSocket: more than one, or no other subprotocol")
    request.headers.replace(_FIELD, ",".join(others))
    return _decoded(coded[0])


def _decoded(coded: str) -> str:
    if "=" in coded:
        raise ValueError("cannot read the token of a WebSocket: it is padded")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True).decode()
    except binascii.Error as err:
        raise ValueError(f"cannot read the token of a WebSocket: {err}") from err
