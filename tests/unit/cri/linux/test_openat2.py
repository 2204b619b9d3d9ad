"""A path whose resolution was disturbed is resolved again."""

import errno

import pytest

from cri.linux import openat2


def test_a_rename_elsewhere_on_the_host_fails_no_open(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errno.EAGAIN, errno.EAGAIN, 0]
    monkeypatch.setattr(openat2, "_openat2", lambda *_: answer(answers))
    assert openat2.openat2(3, "a/../b", 0, resolve=openat2.RESOLVE_IN_ROOT) == 7
    assert answers == []


def test_a_tree_that_never_rests_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errno.EAGAIN] * 1000
    monkeypatch.setattr(openat2, "_openat2", lambda *_: answer(answers))
    with pytest.raises(BlockingIOError):
        openat2.openat2(3, "a/../b", 0)
    assert answers


def answer(answers: list[int]) -> int:
    if code := answers.pop(0):
        raise OSError(code, "openat2")
    return 7
