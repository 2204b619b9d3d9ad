"""Cutting a list into the messages of a stream. Pure."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# A stream exists because one message may not grow past gRPC's 16 MB: 100 statuses are some 200 KB.
SIZE = 100


def of(items: Sequence[T], size: int = SIZE) -> Iterator[Sequence[T]]:
    """Yield the items in order, at most size at a time.

    >>> list(of([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
