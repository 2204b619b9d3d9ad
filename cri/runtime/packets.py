"""Messages between the runtime's processes: one marshal value and some descriptors a SEQPACKET packet.

A value too large for a packet travels in a sealed memory file. Both ends are the same interpreter.
"""

from __future__ import annotations

import marshal
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_INLINE_MAX = 64 << 10
_VALUE_MAX = 16 << 20
_FDS_MAX = 8
_INLINE, _IN_FILE = b"I", b"F"


def send(sock: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Send a value with descriptors (duplicated, the caller keeps its own). Raises OSError."""
    data = marshal.dumps(value)
    if len(data) <= _INLINE_MAX:
        socket.send_fds(sock, [_INLINE + data], list(fds))
        return
    memory = os.memfd_create("nanokube-message", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(memory, view) :]
        socket.send_fds(sock, [_IN_FILE], [memory, *fds])
    finally:
        os.close(memory)


def receive(sock: socket.socket) -> tuple[Any, list[int]] | None:
    """Receive a value and its descriptors (now the caller's, close-on-exec); None at the end of the stream.

    Raises OSError (BlockingIOError included), ValueError for a malformed packet.
    """
    data, fds, _, _ = socket.recv_fds(sock, _INLINE_MAX + 1, _FDS_MAX, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    if data[:1] == _INLINE:
        return marshal.loads(data[1:]), fds
    memory = fds.pop(0)
    try:
        size = os.fstat(memory).st_size
        if size > _VALUE_MAX:
            raise ValueError(f"cannot receive a message of {size} bytes: over {_VALUE_MAX}")
        return marshal.loads(os.pread(memory, size, 0)), fds
    finally:
        os.close(memory)


def pair() -> tuple[socket.socket, socket.socket]:
    """Make two joined ends, both blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def listen(path: str) -> socket.socket:
    """Listen at path, for root only; a dead socket of that name is replaced."""
    temporary = f"{path}.new"
    if os.path.lexists(temporary):  # of a listener that was killed right here
        os.unlink(temporary)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    old = os.umask(0o177)
    try:
        sock.bind(temporary)
    finally:
        os.umask(old)
    sock.listen(128)
    os.rename(temporary, path)
    return sock


def connect(path: str) -> socket.socket:
    """Connect to a listener, blocking. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def peer_is_us(sock: socket.socket) -> bool:
    """Say whether the other end has our user id (SO_PEERCRED)."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], "little") == os.geteuid()
