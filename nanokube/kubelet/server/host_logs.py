"""Shows the host's logs: directories as lists of links, files as they are, nothing from elsewhere.

Upstream serves the directory by joined paths, so that who may write there (a Pod with a hostPath) reads the
host by a symbolic link. Here files are opened beneath the directory's descriptor; links that lead out of it,
and all but files and directories, are not found.
Source: pkg/kubelet/kubelet.go ServeLogs; net/http FileServer (the form of lists).
"""

import asyncio
import contextlib
import html
import os
import stat
from pathlib import Path
from urllib.parse import quote

from cri.linux import openat2
from nanokube.kit.http.message import Answer, Response, StreamResponse
from nanokube.kit.http.stream import Stream
from nanokube.kubelet.server.host import HostError

DIRECTORY = Path("/var/log")
_BENEATH = openat2.RESOLVE_BENEATH | openat2.RESOLVE_NO_MAGICLINKS
_PIECE = 64 * 1024


async def show(path: str, directory: Path = DIRECTORY) -> Answer:
    """Answer with a file or a list. path: relative to directory. Raises HostError (404)."""
    try:
        opened = await asyncio.to_thread(_open, directory, path)
    except OSError as error:
        raise HostError(404, "404 page not found") from error
    if stat.S_ISDIR(os.fstat(opened).st_mode):
        return Response(200, await asyncio.to_thread(_list, opened), "text/html; charset=utf-8")
    log = os.fdopen(opened, "rb")  # closed with its last user, though HEAD never runs what follows
    size = os.fstat(opened).st_size  # what is added meanwhile belongs to the next reader

    async def run(stream: Stream) -> None:
        with log:
            left = size
            while left > 0 and (piece := await asyncio.to_thread(log.read, min(left, _PIECE))):
                left -= len(piece)
                stream.write(piece)
                await stream.drain()

    return StreamResponse(run, content_type="text/plain; charset=utf-8")


def _open(directory: Path, path: str) -> int:
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Not to wait for a writer, where somebody put a FIFO.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        opened = openat2.openat2(root, path.strip("/") or ".", flags, resolve=_BENEATH)
    finally:
        os.close(root)
    mode = os.fstat(opened).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.close(opened)
        raise FileNotFoundError(path)
    return opened


def _list(opened: int) -> bytes:
    """Render a directory and close it."""
    try:
        names = []
        for name in sorted(os.listdir(opened)):
            with contextlib.suppress(OSError):
                is_directory = stat.S_ISDIR(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode)
                names.append(name + "/" if is_directory else name)
    finally:
        os.close(opened)
    lines = [f'<a href="{quote("./" + name)}">{html.escape(name)}</a>\n' for name in names]
    return f"<!doctype html>\n<pre>\n{''.join(lines)}</pre>\n".encode("utf-8", "surrogateescape")
