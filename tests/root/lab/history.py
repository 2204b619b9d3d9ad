"""What writers saw, and whether it can be true. Pure.

Writers append unique tokens to lists, by comparing versions, and create objects of unique names. Then each
token that was acknowledged is in its list once, in an order that real time and versions allow; one whose fate
is unknown is there once or not at all; one that was refused is not there.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Write:
    """key: the list or the created object. version: resourceVersion of what was acknowledged, else 0."""

    kind: Literal["create", "put", "patch"]
    key: str
    token: str
    began: float
    ended: float
    outcome: Literal["done", "refused", "unknown"]
    version: int = 0


def problems(
    writes: Sequence[Write], lists: Mapping[str, Sequence[str]], made: Mapping[str, str]
) -> list[str]:
    """Say what cannot be. lists: tokens by list at the end. made: token by created object at the end."""
    found = []
    for key, tokens in lists.items():
        if len(tokens) != len(set(tokens)):
            twice = sorted({each for each in tokens if tokens.count(each) > 1})
            found.append(f"doubled in {key}: {twice}")
        found += _of_list(tokens, {each.token: each for each in writes if each.key == key})
    for each in writes:
        if each.kind == "create":
            found += _of_creation(each, made)
    return found


def _of_creation(each: Write, made: Mapping[str, str]) -> list[str]:
    there = made.get(each.key)
    if each.outcome == "done" and there != each.token:
        return [f"lost: {each}"]
    if each.outcome == "refused":  # nobody else makes this name
        return [f"refused, though made once: {each}"]
    return []


def _of_list(tokens: Sequence[str], writes: Mapping[str, Write]) -> list[str]:
    found = [f"nobody wrote {each}" for each in tokens if each not in writes]
    there = set(tokens)
    found += [f"lost: {w}" for w in writes.values() if w.outcome == "done" and w.token not in there]
    # The HTTP client may send a PUT again over a new connection: the second is refused, the first holds.
    found += [
        f"refused, but done: {w}"
        for w in writes.values()
        if w.outcome == "refused" and w.kind == "patch" and w.token in there
    ]
    done = [writes[each] for each in tokens if each in writes and writes[each].outcome == "done"]
    for before, after in itertools.pairwise(done):
        if after.version <= before.version:
            found.append(f"versions out of order: {before} {after}")
    latest = 0.0
    for each in done:
        if each.ended < latest:
            found.append(f"before its time: {each}")
        latest = max(latest, each.began)
    return found


def longest_gap(writes: Sequence[Write], began: float, ended: float) -> float:
    """Return the longest time in seconds in which nothing was acknowledged."""
    return longest_gap_at(writes, began, ended)[0]


def longest_gap_at(writes: Sequence[Write], began: float, ended: float) -> tuple[float, float]:
    """Return that time and the moment at which it began."""
    moments = sorted([began, *(w.ended for w in writes if w.outcome == "done"), ended])
    return max((after - before, before) for before, after in itertools.pairwise(moments))
