"""What becomes of a removed container's directory."""

import time
from pathlib import Path

from cri.snapshots.graves import Graves, remove_unwritten


def _home(root: Path, *written: str) -> Path:
    home = root / "c1"
    for name in ("upper", "work/work"):
        (home / name).mkdir(parents=True)
    (home / "layers.json").write_text("[]")
    for name in written:
        (home / "upper" / name).write_text("data")
    return home


def test_an_unwritten_container_is_gone_at_once(tmp_path: Path) -> None:
    Graves(tmp_path).bury(_home(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_written_container_has_left_its_name_and_is_deleted_soon(tmp_path: Path) -> None:
    graves = Graves(tmp_path)
    for _ in range(3):
        home = _home(tmp_path, "a", "b")
        graves.bury(home)
        assert not home.exists()
    deadline = time.monotonic() + 5
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_is_deleted_without_a_look(tmp_path: Path) -> None:
    home = _home(tmp_path, "kept")
    assert not remove_unwritten(str(home))
    assert (home / "upper" / "kept").read_text() == "data"


def test_an_absent_directory_is_no_error_and_a_crash_s_rest_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ".gone-1" / "upper").mkdir(parents=True)
    Graves(tmp_path).bury(tmp_path / "c1")
    assert list(tmp_path.iterdir()) == []
