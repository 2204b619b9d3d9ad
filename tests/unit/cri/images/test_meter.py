"""Progress of a pull, added up for the log."""

import logging

import pytest

from cri.images.image import Progress
from cri.images.meter import Meter


def test_slow_pull_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    passed: list[Progress] = []
    with caplog.at_level(logging.INFO):
        meter = Meter("r.example/a:1", passed.append, lambda: now)
        meter(Progress("resolving", "r.example/a:1"))
        meter(Progress("present", "p", 5, 5))
        meter(Progress("downloading", "x", 10, 100))
        assert caplog.messages == []
        now += 10
        meter(Progress("downloading", "y", 20, 50))
        meter(Progress("downloading", "x", 15, 100))
    assert caplog.messages == ["pulling image, reference=r.example/a:1 layers=1/3 bytes=30/150"]
    meter(Progress("unpacking", "x", 0, 100))
    meter(Progress("done", "x", 100, 100))
    meter(Progress("waiting", "x", 0, 100))
    assert meter.summary() == "seconds=10.0 layers=2/3 bytes=120/150"
    assert len(passed) == 8


def test_exception_of_the_callback_ends_the_pull() -> None:
    def give_up(_: Progress) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Meter("r", give_up)(Progress("downloading", "x", 1, 2))
