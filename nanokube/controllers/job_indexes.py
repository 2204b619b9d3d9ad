"""Completion indexes of an Indexed Job: sets of numbers, as text "0-3,5". Pure.

Source: pkg/controller/job/indexed_job_utils.go.

>>> show({0, 1, 2, 5, 7, 8})
'0-2,5,7,8'
>>> sorted(parse("0-2,5,7-9", 8))
[0, 1, 2, 5, 7]
>>> first_free({0, 2}, 2, 5)
[1, 3]
"""

from collections.abc import Iterable, Set

from nanokube.api import objects
from nanokube.api.objects import Object

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"


def parse(text: str, completions: int) -> set[int]:
    """Read indexes below completions; a part that is no interval is passed over."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return found


def show(indexes: Iterable[int]) -> str:
    """Write indexes as intervals in ascending order; two neighbours make no interval."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(
        str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}"
        for first, last in spans
    )


def first_free(taken: Set[int], count: int, completions: int) -> list[int]:
    """Give the lowest count indexes below completions that are not taken."""
    found: list[int] = []
    for index in range(completions):
        if len(found) >= count:
            break
        if index not in taken:
            found.append(index)
    return found


def of(pod: Object) -> int | None:
    """Read a Pod's index from its annotation; None if it has none."""
    text = objects.annotations(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def failures(pod: Object) -> int:
    """Count how often a Pod's index had failed before it, as far as it counts against the limit."""
    return _number(pod, FAILURES)


def all_failures(pod: Object) -> int:
    """Count how often a Pod's index had failed before it, ignored failures too."""
    return _number(pod, FAILURES) + _number(pod, IGNORED_FAILURES)


def ignored_failures(pod: Object) -> int:
    """Count the failures before a Pod that the failure policy ignored."""
    return _number(pod, IGNORED_FAILURES)


def _number(pod: Object, annotation: str) -> int:
    text = objects.annotations(pod).get(annotation, "")
    return int(text) if text.isdigit() else 0
