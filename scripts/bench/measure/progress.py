"""What goes on, on stderr."""

import sys
import time
from collections.abc import Iterator

_EVERY_S = 2.0


def show(text: str) -> None:
    """Say one thing."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def count(what: str, total: int) -> Iterator[int]:
    """Count from 0 and say every other second how far it got."""
    said = time.monotonic()
    for number in range(total):
        if time.monotonic() - said > _EVERY_S:
            said = time.monotonic()
            show(f"{what}: {number} of {total}")
        yield number
