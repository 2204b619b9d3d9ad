"""Heads of GET requests that were read before. Pure.

On a connection that is kept a client sends the same fields with every request. So all that stands behind the
request line is known by its bytes, and the parser need not read it again. What is remembered is what the
parser made of exactly these bytes, in the same place: behind the line of a GET, at the end of all that came.
"""

from __future__ import annotations

import re
from typing import Final

from nanokube.kit.http.message import Headers

_REMEMBERED: Final = 256  # of many clients; they share what they send alike
_MOST_BYTES: Final = 4096
# what the parser passes on unchanged; a fragment, or a quote, is left to it
_LINE: Final = re.compile(rb"GET (/[!$-~]*) HTTP/1\.1")
_LINE_END: Final = b"\r\n"
_END: Final = b"\r\n\r\n"


class Heads:
    """The memory of one server."""

    def __init__(self) -> None:
        self._known: dict[bytes, Headers] = {}

    def find(self, data: bytes) -> tuple[str, Headers] | None:
        """Return target and fields of a request, if it is all of data and its fields are known."""
        at = data.find(_LINE_END)
        known = self._known.get(data[at:])
        if known is None:
            return None
        line = _LINE.fullmatch(data, 0, at)
        return None if line is None else (line[1].decode("ascii"), known.copy())

    def remember(self, data: bytes, headers: Headers) -> None:
        """Remember what the parser read: a request without a body, which was all of data."""
        at = data.find(_LINE_END)
        if len(data) > _MOST_BYTES or data.find(_END) != len(data) - len(_END):
            return
        if "expect" in headers or _LINE.fullmatch(data, 0, at) is None:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[data[at:]] = headers.copy()
