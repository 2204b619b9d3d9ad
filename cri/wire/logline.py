"""Lines of a container's log: `RFC3339Nano stream tag text`. Pure.

The tag's first part is F (the line is whole) or P (more of the same line follows); further parts, after
colons, are reserved. Source: cri-api apis/runtime/v1/constants.go; cri-client pkg/logs/logs.go.
"""

import dataclasses
import datetime
from typing import Literal

Stream = Literal["stdout", "stderr"]


class LogLineError(ValueError):
    """A line does not have the format of a container's log."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    timestamp: as written, so that it can be shown unchanged.
    text: with its newline if the line is whole, without if it is partial.
    """

    timestamp: bytes
    stream: Stream
    is_partial: bool
    text: bytes

    def time_ns(self) -> int:
        """Return the time in nanoseconds since the epoch. Raises LogLineError."""
        return parse_time_ns(self.timestamp.decode("ascii", "replace"))


def parse(line: bytes) -> LogLine:
    """Read one line, with or without its newline at the end. Raises LogLineError."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        raise LogLineError(f"cannot parse log line {line[:60]!r}")
    tag = parts[2].rstrip(b"\n").partition(b":")[0]
    if tag not in (b"F", b"P"):
        raise LogLineError(f"cannot parse log tag {parts[2][:20]!r}")
    text = parts[3] if len(parts) == 4 else b""
    is_partial = tag == b"P"
    if is_partial:
        text = text.removesuffix(b"\n")
    elif not text.endswith(b"\n"):
        text += b"\n"
    stream: Stream = "stdout" if parts[1] == b"stdout" else "stderr"
    return LogLine(parts[0], stream, is_partial, text)


def format_line(time_ns: int, stream: Stream, text: bytes, *, is_partial: bool = False) -> bytes:
    """Write one line, newline included. text: without newline."""
    tag = b"P" if is_partial else b"F"
    return b" ".join((format_time_ns(time_ns).encode(), stream.encode(), tag, text)) + b"\n"


def format_time_ns(time_ns: int) -> str:
    """Write a time in UTC with nine digits of fraction."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def parse_time_ns(text: str) -> int:
    """Read RFC 3339 with any fraction and offset as nanoseconds since the epoch. Raises LogLineError."""
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))] if dot else ""
    zone = tail[len(digits) :] if dot else ""
    try:
        moment = datetime.datetime.fromisoformat(head + zone)
    except ValueError as err:
        raise LogLineError(f"cannot parse time {text[:40]!r}") from err
    if moment.tzinfo is None or len(head) < 19 or (dot and not digits):
        raise LogLineError(f"cannot parse time {text[:40]!r}")
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    whole = (moment - epoch) // datetime.timedelta(seconds=1)
    return whole * 1_000_000_000 + int(digits[:9].ljust(9, "0") or 0)
