"""What the streaming server asks of the runtime: processes and sockets as file descriptors.

Every method may block and is called on a worker thread; the server owns each descriptor from the moment it is
returned, makes it non-blocking and closes it.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Protocol


class StreamFault(Exception):
    """A backend cannot serve a stream; the message goes to the user as a Status."""


class Session(Protocol):
    """One exec'd process, or one attachment to a container, seen through descriptors.

    stdin: write end; None if the process reads nothing from us.
    stdout, stderr: read ends; None if not asked for. End of file (EIO on a terminal) ends each.
    With a terminal, `stdin` and `stdout` are its controlling side (the same number, or a duplicate) and
    `stderr` is None.
    """

    @property
    def stdin(self) -> int | None: ...

    @property
    def stdout(self) -> int | None: ...

    @property
    def stderr(self) -> int | None: ...

    def on_exit(self, callback: Callable[[int], None]) -> None:
        """Call back once with the exit code (128 + signal for a killed process).

        The callback may come from any thread, and before this method returns if the process is already gone.
        An attachment calls back when its container ends; its code is not reported to the client.
        """
        ...

    def resize(self, width: int, height: int) -> None:
        """Set the terminal's size in columns and rows; no effect without a terminal."""
        ...

    def stdin_closed(self) -> bool:
        """Learn that the client's input ended and that `stdin` has been closed; tell whether that is the end.

        An attachment to a container with stdinOnce drops the runtime's own write end here, so that the
        application reads end of file, and goes on. Any other attachment with input ends with it.
        """
        ...

    def close(self) -> None:
        """Let go of the session; the server has closed the descriptors. Called once, whatever happened.

        An exec'd process that still runs has lost its client: its terminal hangs up, its pipes give EPIPE.
        """
        ...


class Backend(Protocol):
    """The runtime behind the streaming server. Raises StreamFault or OSError."""

    def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        """Start a process in a running container."""
        ...

    def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Session:
        """Tap a running container's input and output from now on."""
        ...

    def connect(self, sandbox_id: str, port: int) -> socket.socket:
        """Connect to a TCP port on the loopback of a sandbox's network namespace (127.0.0.1, then ::1)."""
        ...
