from pathlib import Path

import pytest

from nanokube.kubelet.volumes import host_path
from nanokube.kubelet.volumes.errors import VolumeFault


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("Directory", "directory"),
        ("File", "file"),
        ("Socket", "socket file"),
        ("CharDevice", "character device"),
        ("BlockDevice", "block device"),
    ],
)
def test_what_is_missing_is_not_what_was_asked_for(tmp_path: Path, kind: str, word: str) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(VolumeFault) as raised:
        host_path.set_up({"hostPath": {"path": str(missing), "type": kind}})
    assert str(raised.value) == f"hostPath type check failed: {missing} is not a {word}"


@pytest.mark.parametrize("kind", ["Directory", "File", "", None])
def test_a_path_is_taken_as_it_is_or_refused(tmp_path: Path, kind: str | None) -> None:
    volume = {"hostPath": {"path": str(tmp_path), "type": kind}}
    if kind == "File":
        with pytest.raises(VolumeFault, match="is not a file"):
            host_path.set_up(volume)
    else:
        assert host_path.set_up(volume) == tmp_path


def test_or_create_makes_what_is_missing(tmp_path: Path) -> None:
    directory, file = tmp_path / "a" / "b", tmp_path / "f"
    host_path.set_up({"hostPath": {"path": str(directory), "type": "DirectoryOrCreate"}})
    host_path.set_up({"hostPath": {"path": str(file), "type": "FileOrCreate"}})
    assert directory.is_dir()
    assert file.is_file()
