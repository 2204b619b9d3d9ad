"""The wall clock that is wrong by what a file says."""

import time
from pathlib import Path

import pytest

from nanokube.kit import clock


def test_the_offset_is_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "offset"
    monkeypatch.setattr(clock, "OFFSET_LOOK_S", 0.0)
    wrong = clock.OffsetClock(file)
    assert abs(wrong.time() - time.time()) < 60, "no file: no offset"
    file.write_text("-3600\n")
    assert 3500 < time.time() - wrong.time() < 3700
    file.write_text("nonsense")
    assert 3500 < time.time() - wrong.time() < 3700, "as it was"


def test_only_the_environment_makes_a_clock_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(clock.OFFSET_VARIABLE, raising=False)
    assert isinstance(clock.system(), clock.SystemClock)
    monkeypatch.setenv(clock.OFFSET_VARIABLE, "/nowhere")
    assert isinstance(clock.system(), clock.OffsetClock)
