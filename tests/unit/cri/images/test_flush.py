"""Flushing in the background: what was asked for before shares a flush, and is told afterwards."""

from pathlib import Path

from cri.images.flush import Flusher


def test_waiting_calls_share_a_flush_and_come_after_it(tmp_path: Path) -> None:
    order: list[str] = []
    flusher = Flusher(tmp_path, sync=lambda _: order.append("sync"))
    flusher.after(lambda: order.append("a"))
    flusher.after(lambda: order.append("b"))
    flusher.now()
    assert order == ["sync", "a", "b"]
    flusher.now()
    assert order == ["sync", "a", "b"]


def test_failed_flush_tells_nobody_and_the_next_one_works(tmp_path: Path) -> None:
    told: list[str] = []
    failing = [True]

    def sync(_: int) -> None:
        if failing.pop():
            raise OSError("disk is gone")
        failing.append(False)

    flusher = Flusher(tmp_path, sync)
    flusher.after(lambda: told.append("a"))
    flusher.now()
    assert told == []
    failing.append(False)
    flusher.after(lambda: told.append("b"))
    flusher.now()
    assert told == ["b"]
