"""Logging set-up of a component: one line an event, to standard error.

    2026-01-02T03:04:05.678Z INFO nanokube.scheduler.cycle bound pod=default/web

Standard error is a file of `/var/log/nanokube` or, under systemd, the journal.
"""

import logging
import sys
import time


def set_up(level: str = "INFO") -> None:
    """Send records of this level and above to standard error."""
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio names a slow callback at DEBUG only; the library's own chatter stays out of INFO.
    for name in ("asyncio", "grpc", "aiohttp.access", "pyroute2"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
