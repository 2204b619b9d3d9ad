"""What exec and attach say inside their streams: names, terminal sizes, the final Status. Pure.

Versions: v1 is obsolete wire for v2; v3 adds resize; v4 ends with a Status in JSON; v5 (WebSocket only) adds
half-close. Source: k8s.io/cri-streaming pkg/streaming/remotecommand; apimachinery pkg/util/remotecommand.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from cri.wire.errors import RemoteProtocolError

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")  # over SPDY
STREAM_TYPE = "streamtype"  # the header that names a SPDY stream's role
STDIN, STDOUT, STDERR, ERROR, RESIZE = "stdin", "stdout", "stderr", "error", "resize"
MAX_SIZE_BYTES = 4096  # ours: one {"Width":…,"Height":…} is about 30


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """Which streams a request asks for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    def problem(self) -> str:
        """Return why these options cannot be served, or ""."""
        if self.tty and self.stderr:
            return "tty and stderr cannot both be true"
        if not (self.stdin or self.stdout or self.stderr):
            return "one of stdin, stdout, or stderr must be set"
        return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A terminal's columns and rows."""

    width: int
    height: int


def expected_streams(options: Options, protocol: str) -> frozenset[str]:
    """Return the streams that a SPDY client opens before the command starts."""
    roles = {ERROR}
    roles |= {name for name in (STDIN, STDOUT, STDERR) if getattr(options, name)}
    if options.tty and has_resize(protocol):
        roles.add(RESIZE)
    return frozenset(roles)


def has_resize(protocol: str) -> bool:
    """Tell whether a SPDY protocol version has a resize stream."""
    return protocol in PROTOCOLS[:2]


def has_status(protocol: str) -> bool:
    """Tell whether the error stream carries a Status in JSON."""
    return protocol == PROTOCOLS[0]


def choose(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """Pick the client's first protocol that we speak; "" if it offers none; None if only others."""
    if not offered:
        return ""
    return next((name for name in offered if name in supported), None)


def exit_status(code: int) -> dict[str, Any]:
    """Make the Status that reports a process's exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> dict[str, Any]:
    """Make the Status that reports that the runtime could not do it."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


def encode_status(status: dict[str, Any], *, as_json: bool) -> bytes:
    """Encode for the error stream: JSON since v4, before that the bare message of a failure."""
    if as_json:
        return json.dumps(status, separators=(",", ":")).encode()
    return str(status.get("message", "")).encode()


class SizeDecoder:
    """Reads terminal sizes from concatenated JSON objects cut anywhere."""

    def __init__(self) -> None:
        self._text = ""
        self._json = json.JSONDecoder()

    def receive(self, data: bytes) -> Iterator[Size]:
        """Take bytes and yield complete sizes. Raises RemoteProtocolError."""
        self._text += data.decode("utf-8", "replace")
        while True:
            self._text = self._text.lstrip()
            if not self._text:
                return
            try:
                value, end = self._json.raw_decode(self._text)
            except (ValueError, RecursionError) as err:
                if len(self._text) > MAX_SIZE_BYTES or not self._text.startswith("{"):
                    raise RemoteProtocolError("cannot decode terminal size") from err
                return
            self._text = self._text[end:]
            yield _size(value)


def _size(value: Any) -> Size:
    if not isinstance(value, dict):
        raise RemoteProtocolError("cannot accept a terminal size that is no object")
    fields = {str(key).lower(): field for key, field in value.items()}
    width, height = fields.get("width", 0), fields.get("height", 0)
    for number in (width, height):
        if not isinstance(number, int) or not 0 <= number <= 0xFFFF:  # struct winsize, uint16
            raise RemoteProtocolError(f"cannot accept terminal size {width!r} x {height!r}")
    return Size(width, height)
