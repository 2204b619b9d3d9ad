"""The log file and its rotation."""

from __future__ import annotations

import gzip
from pathlib import Path

from nanokube.apiserver.audit import logfile
from nanokube.apiserver.audit.logfile import RotatingFile
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import LogSettings

LINE = b"x" * 400_000 + b"\n"


class Time:
    def __init__(self) -> None:
        self.now = 1_750_000_000.5

    def __call__(self) -> float:
        return self.now


def test_it_is_ours_alone_and_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "audit.log"
    for text in (b"1\n", b"2\n"):
        log = RotatingFile(LogSettings(str(file)), Time())
        log.write([text])
        log.close()
    assert file.read_bytes() == b"1\n2\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_it_is_renamed_before_it_grows_too_large(tmp_path: Path) -> None:
    time = Time()
    log = RotatingFile(LogSettings(str(tmp_path / "audit.log"), max_size_mb=1), time)
    log.write([LINE] * 3)
    log.close()
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["audit-2025-06-15T15-06-40.500.log", "audit.log"]
    assert (tmp_path / names[0]).stat().st_size == 2 * len(LINE)
    assert (tmp_path / "audit.log").stat().st_size == len(LINE)


def test_old_ones_go_by_number_and_by_age(tmp_path: Path) -> None:
    time = Time()
    (tmp_path / "audit-notes.log").write_text("a stranger's")
    settings = LogSettings(str(tmp_path / "audit.log"), max_age_days=1, max_backups=2, max_size_mb=1)
    log = RotatingFile(settings, time)
    for _ in range(6):
        time.now += 1
        log.write([LINE] * 2)
    assert len(list(tmp_path.glob("audit-2025*"))) == 2
    time.now += 2 * 86400
    log.write([LINE] * 2)
    log.close()
    assert len(list(tmp_path.glob("audit-2025*"))) == 1
    assert (tmp_path / "audit-notes.log").exists()


def test_nothing_is_renamed_without_a_bound(tmp_path: Path) -> None:
    log = RotatingFile(LogSettings(str(tmp_path / "audit.log"), max_size_mb=0), Time())
    log.write([LINE] * 4)
    log.close()
    assert [each.name for each in tmp_path.iterdir()] == ["audit.log"]


def test_old_ones_are_compressed_if_wanted(tmp_path: Path) -> None:
    log = RotatingFile(LogSettings(str(tmp_path / "a.log"), max_size_mb=1, compresses=True), Time())
    log.write([LINE] * 3)
    log.close()
    (packed,) = tmp_path.glob("*.gz")
    assert packed.name == "a-2025-06-15T15-06-40.500.log.gz"
    assert gzip.decompress(packed.read_bytes()) == LINE * 2


async def test_a_full_disk_is_counted(tmp_path: Path) -> None:
    metrics = AuditMetrics()
    backend = logfile.LogBackend(LogSettings("/dev/full", max_size_mb=0), metrics, Time())
    assert not await backend.deliver([b"a\n", b"b\n"])
    await backend.close()
    assert metrics.errors.labels("log")._value.get() == 2
