"""A file is replaced whole, or stays, and who cannot write it is told which."""

import errno
import os
from pathlib import Path

import pytest

from nanokube.kit import files


def test_a_full_disk_leaves_the_file_and_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "ca.crt"
    files.write_private(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_private(path, b"two")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
