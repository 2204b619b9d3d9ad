"""TLS contexts whose certificates follow their files: what is renewed is shown from the next handshake on."""

import asyncio
import contextlib
import logging
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Never

from asyncinotify import Inotify, Mask

log = logging.getLogger(__name__)

# Files are replaced by renaming; certificate and key are two renames, read together after the last of them.
_EVENTS = Mask.MOVED_TO | Mask.CLOSE_WRITE
SETTLE_S = 0.2


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give a context its certificate and key, PEM. Raises ssl.SSLError; the context keeps what it had then.

    OpenSSL's Python face reads a pair from a file only; this one is mode 0600 and gone at once.
    """
    descriptor, name = tempfile.mkstemp(prefix="nanokube-tls-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate if certificate == key else certificate + b"\n" + key)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(name)  # a pair of two halves must not get in
        context.load_cert_chain(name)
    finally:
        os.unlink(name)


async def follow(context: ssl.SSLContext, certificate: Path, key: Path) -> Never:
    """Load a pair into a context again whenever its files change, until cancelled."""
    shown = _read(certificate, key)

    async def reload() -> None:
        nonlocal shown
        found = _read(certificate, key)
        if found is None or found == shown:
            return
        try:
            load_pair(context, *found)
        except ssl.SSLError as err:
            log.warning("certificate not taken: file=%s error=%s", certificate, err)
            return
        shown = found
        log.info("certificate taken: file=%s", certificate)

    await on_change({certificate, key}, reload)


async def on_change(files: Iterable[Path], act: Callable[[], Awaitable[object]]) -> Never:
    """Await act() a moment after any of the files was written or replaced, and once at the start."""
    names = {os.fspath(file) for file in files}
    with Inotify() as inotify:
        for directory in {Path(name).parent for name in names}:
            inotify.add_watch(directory, _EVENTS)
        await act()  # what changed before the watch began
        while True:
            event = await inotify.get()
            if event.path is None or os.fspath(event.path) not in names:
                continue
            await asyncio.sleep(SETTLE_S)
            await act()


def _read(certificate: Path, key: Path) -> tuple[bytes, bytes] | None:
    with contextlib.suppress(OSError):
        return certificate.read_bytes(), key.read_bytes()
    return None
