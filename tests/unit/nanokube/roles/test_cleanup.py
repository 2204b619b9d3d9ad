"""What still runs is ended."""

import subprocess
import time
from pathlib import Path

import pytest

from nanokube.kit import paths
from nanokube.roles import cleanup
from nanokube.roles import config as node_config

DEAF = "trap '' TERM; echo ready; exec sleep 60"


def begin(command: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    return started


def test_who_heeds_the_signal_ends_at_once_and_the_others_after_their_grace() -> None:
    willing, deaf = begin("echo ready; exec sleep 60"), begin(DEAF)
    ended: dict[int, float] = {}
    began = time.monotonic()

    def running() -> list[int]:
        for each in (willing, deaf):
            if each.poll() is not None:
                ended.setdefault(each.pid, time.monotonic() - began)
        return [each.pid for each in (willing, deaf) if each.returncode is None]

    cleanup.end_processes(running, 0.4)
    assert ended[willing.pid] < 0.4 <= ended[deaf.pid]
    assert (willing.returncode, deaf.returncode) == (-15, -9)


def test_where_nothing_runs_nothing_is_waited_for() -> None:
    cleanup.end_processes(lambda: [], 60)


def a_node(root: Path) -> node_config.NodeConfig:
    place = paths.Paths(root)
    (place.volumes / "pvc-1").mkdir(parents=True)
    (place.kubelet / "pods").mkdir(parents=True)
    (place.lib / "node.json").touch()
    return node_config.NodeConfig("n", "192.0.2.1", root=root)


def test_volumes_go_with_the_node_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    config = a_node(tmp_path)
    assert [each.name for each in cleanup.volumes(config)] == ["pvc-1"]
    cleanup.remove_files(config, keep_volumes=True)
    assert list(config.paths.lib.iterdir()) == [config.paths.volumes]
    assert [each.name for each in cleanup.volumes(config)] == ["pvc-1"]
    cleanup.remove_files(config)
    assert not config.paths.lib.exists()


def test_nothing_is_removed_while_something_is_mounted_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_node(tmp_path)
    monkeypatch.setattr(cleanup, "mounts_below", lambda place: [f"{place.kubelet}/pods/u/volumes/disk"])
    with pytest.raises(OSError, match="disk is still mounted"):
        cleanup.remove_files(config)
    assert (config.paths.kubelet / "pods").is_dir()
