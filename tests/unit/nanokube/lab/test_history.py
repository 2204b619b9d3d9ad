"""The judge of the survival test: it finds what it is there to find."""

import pytest

from tests.root.lab.history import Write, longest_gap, longest_gap_at, problems

A = Write("put", "l", "a", 0.0, 1.0, "done", 10)
B = Write("patch", "l", "b", 2.0, 3.0, "done", 11)
LOST = Write("put", "l", "u", 2.0, 3.0, "unknown")
REFUSED = Write("patch", "l", "r", 2.0, 3.0, "refused")
MADE = Write("create", "o", "m", 0.0, 1.0, "done", 9)


def test_what_can_be_is_no_problem() -> None:
    for tokens in (["a", "b"], ["a", "u", "b"]):
        assert problems([A, B, LOST, REFUSED, MADE], {"l": tokens}, {"o": "m"}) == []


@pytest.mark.parametrize(
    ("tokens", "made", "said"),
    [
        (["a"], {"o": "m"}, "lost"),
        (["a", "b", "a"], {"o": "m"}, "doubled"),
        (["b", "a"], {"o": "m"}, "out of order"),
        (["a", "b", "r"], {"o": "m"}, "refused, but done"),
        (["a", "b", "x"], {"o": "m"}, "nobody wrote"),
        (["a", "b"], {}, "lost"),
        (["a", "b"], {"o": "other"}, "lost"),
    ],
)
def test_what_cannot_be_is_found(tokens: list[str], made: dict[str, str], said: str) -> None:
    assert any(said in each for each in problems([A, B, REFUSED, MADE], {"l": tokens}, made))


def test_the_longest_gap_counts_from_the_beginning_to_the_end() -> None:
    assert longest_gap([A, B], 0.0, 3.5) == 2.0
    assert longest_gap_at([], 5.0, 7.0) == (2.0, 5.0)
    assert longest_gap([], 0.0, 7.0) == 7.0
