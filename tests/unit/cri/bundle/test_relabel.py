"""Which paths may be relabelled, and what lies below one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri.bundle import relabel
from cri.linux import labels


@pytest.mark.parametrize("path", ["/", "/etc", "/usr", "/home", "/var/lib", "/etc/", "/usr/../etc", "/root"])
def test_the_hosts_own_directories_are_refused(path: str) -> None:
    assert relabel.check(path).endswith("it is the host's own")


@pytest.mark.parametrize("path", ["/var/lib/kubelet/pods/u/volumes/e", "/srv/data", "/home/me/x"])
def test_volumes_are_not(path: str) -> None:
    assert relabel.check(path) == ""


def test_a_link_to_the_hosts_own_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "volume").symlink_to("/etc")
    with pytest.raises(relabel.RelabelError, match="/etc"):
        relabel.tree(str(tmp_path / "volume"), "u:r:t:s0")


def test_all_below_is_labelled_links_themselves_and_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    (volume / "a" / "b" / "file").touch()
    (outside / "secret").touch()
    (volume / "a" / "link").symlink_to(outside)
    seen: list[str] = []
    monkeypatch.setattr(labels, "label_file", lambda fd, _: seen.append(os.readlink(f"/proc/self/fd/{fd}")))
    relabel.tree(str(volume), "u:r:t:s0")
    names = ["", "/a", "/a/b", "/a/b/file", "/a/link"]
    assert sorted(seen) == [f"{volume}{name}" for name in names]
    assert seen[-1] == str(volume)  # last: whoever may look into it finds all done


def test_a_missing_path_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "label_file", lambda fd, _: None)
    relabel.tree(str(tmp_path / "x" / "y"), "u:r:t:s0")
    assert (tmp_path / "x" / "y").is_dir()
