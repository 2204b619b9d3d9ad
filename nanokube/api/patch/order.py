"""The order of a keyed list into which an applied one was merged. Pure.

What both have comes in the order of the applied list; what only the live one has stays between its
neighbours.
Source: sigs.k8s.io/structured-merge-diff, typed/merge.go, visitListItems.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence


def merged(live: Sequence[Hashable], applied: Sequence[Hashable]) -> Iterator[tuple[int | None, int | None]]:
    """Yield the places, in the live list and in the applied one, of each item of the merged list.

    Items are told apart by their keys, of which the applied list has none twice. The live place is None for
    an item that both have, but not here: then its key finds it.
    """
    wanted, known = set(applied), set(live)
    shared = iter([key for key in applied if key in known])
    upcoming, taken = next(shared, None), set[Hashable]()
    at, to = 0, 0
    while at < len(live) or to < len(applied):
        if at < len(live):
            key = live[at]
            if to < len(applied) and key == applied[to]:
                yield at, to
                taken.add(key)
                at, to = at + 1, to + 1
                upcoming = next(shared, None)
                continue
            if to < len(applied) and key in wanted and upcoming is not None and key != upcoming:
                at += 1  # its turn comes by the applied list
                continue
            if key not in wanted:
                yield at, None
                at += 1
                continue
            if key in taken:
                at += 1
        if to < len(applied):
            key = applied[to]
            yield None, to
            taken.add(key)
            to += 1
            if key == upcoming:
                upcoming = next(shared, None)
