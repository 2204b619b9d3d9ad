"""What was appended to the log is read back as far as it is whole, and nothing else is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nanokube.storage.sqlite import log
from nanokube.storage.sqlite.log import Log, Write
from nanokube.storage.store import Event

IDENTITY = 77


def write(revision: int, value: bytes | None = b"value") -> Write:
    return Write(Event(f"/kéy/{revision}", value, revision, revision), revision - 1, 0.5)


def no_wait(revision: int) -> None:
    assert revision >= 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def appended(path: Path) -> Iterator[Log]:
    opened = Log(path, IDENTITY, no_wait)
    yield opened
    opened.close()


def revisions(path: Path, after: int, identity: int = IDENTITY) -> Sequence[int]:
    return [each.event.revision for each in log.after(log.load(path), identity, after)]


def test_what_was_appended_is_read(path: Path, appended: Log) -> None:
    batches = [[write(2), write(3, None), write(4, b"")], [write(5, b"x" * 9000)]]
    for batch in batches:
        appended.append(batch)
    assert log.after(log.load(path), IDENTITY, 1) == [*batches[0], *batches[1]]
    assert [each.stat().st_mode & 0o777 for each in log.paths(path)] == [0o600, 0o600]


def test_only_what_follows_without_a_gap_is_read_and_only_of_this_database(path: Path, appended: Log) -> None:
    appended.append([write(2), write(3), write(5)])
    assert [revisions(path, at) for at in (0, 1, 2, 3, 4)] == [[], [2, 3], [3], [], [5]]
    assert revisions(path, 1, IDENTITY + 1) == []
    assert revisions(path.with_name("none.db"), 1) == []


def test_what_is_cut_or_flipped_ends_the_log(path: Path, appended: Log) -> None:
    appended.append([write(2), write(3), write(4)])
    raw = log.paths(path)[0].read_bytes().rstrip(b"\0")
    for at in range(len(raw)):
        cut = log.after([raw[:at]], IDENTITY, 1)
        flipped = log.after([raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]], IDENTITY, 1)
        assert len(cut) == len(flipped) < 3
    assert len(log.after([raw], IDENTITY, 1)) == 3


def test_segments_take_turns_once_the_tables_have_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES", 300)
    waited: list[int] = []
    appended = Log(path, IDENTITY, waited.append)
    for revision in range(2, 30):
        appended.append([write(revision)])
        kept = revisions(path, max([1, *waited]))
        assert kept[-1] == revision
    assert waited[0] == 0
    assert waited[1:] == sorted(waited[1:])
    assert len(waited) > 3
    appended.close()


def test_a_round_before_is_never_taken_for_the_rest_of_this_one(path: Path, appended: Log) -> None:
    appended.append([write(2), write(3), write(4)])
    again = Log(path, IDENTITY, no_wait)
    again.append([write(2)])  # the same bytes in the same place, as after a crash in the midst
    again.close()
    assert revisions(path, 1) == [2]


def test_what_the_other_segment_held_at_the_opening_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES", 1)
    first = Log(path, IDENTITY, no_wait)
    first.append([write(2)])
    first.append([write(3)])
    first.close()
    assert revisions(path, 1) == [2, 3]
    second = Log(path, IDENTITY, no_wait)
    second.append([write(2)])
    second.close()
    assert revisions(path, 1) == [2]


def test_no_write_makes_a_file_grow(path: Path, appended: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES", 2000)
    sizes = set[tuple[int, ...]]()
    for revision in range(2, 60):
        appended.append([write(revision)])
        sizes.add(tuple(each.stat().st_size for each in log.paths(path)))
    assert sizes <= {(a, b) for a in range(2000, 2100) for b in (0, *range(2000, 2100))}
    assert len(sizes) <= 4  # a last record of a segment may stand out


def test_a_disk_without_room_for_a_segment_takes_what_it_can(
    path: Path, appended: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def full(descriptor: int, data: bytes, at: int) -> int:
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data, at)

    monkeypatch.setattr("os.pwrite", full)
    appended.append([write(2)])
    assert revisions(path, 1) == [2]
    assert log.paths(path)[0].stat().st_size < 1000
