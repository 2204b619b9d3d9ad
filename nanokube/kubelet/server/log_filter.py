"""Turns lines of a container's log into what the user asked for. Pure.

Source: cri-client pkg/logs/logs.go (logWriter, ReadLogs).
"""

from cri.wire import logline
from nanokube.kubelet.server.log_options import LogOptions


class LogFilter:
    """Shows chosen lines of one log, in order."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit_bytes
        self._is_new_line = True

    @property
    def is_full(self) -> bool:
        """limitBytes is used up."""
        return self._left is not None and self._left <= 0

    def show(self, raw: bytes) -> bytes:
        """Return what a raw line adds to the output; lines that do not parse are left out."""
        try:
            line = logline.parse(raw)
            if self._options.since_ns and line.time_ns() < self._options.since_ns:
                return b""
        except logline.LogLineError:
            return b""
        if line.stream not in self._options.streams:
            return b""
        text = line.text
        if self._options.timestamps and self._is_new_line:
            text = line.timestamp + b" " + text
        self._is_new_line = not line.is_partial
        if self._left is not None:
            text = text[: self._left]
            self._left -= len(text)
        return text
