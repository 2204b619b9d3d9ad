"""A volume of one Pod is no other Pod's, until that one's directory has gone."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nanokube.kubelet.volumes import sole
from nanokube.kubelet.volumes.errors import WholeFault


def volume(*modes: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "pv"}, "spec": {"accessModes": list(modes), **spec}}


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (volume("ReadWriteOncePod"), True),
        (volume("ReadWriteOncePod", volumeMode="Filesystem"), True),
        (volume("ReadWriteOncePod", volumeMode="Block"), False),
        (volume("ReadWriteOnce"), False),
        (volume("ReadWriteOnce", "ReadWriteOncePod"), False),
        ({"metadata": {"name": "pv"}, "spec": {"accessModes": None}}, False),
    ],
)
def test_only_the_mode_alone_counts(of: dict[str, Any], expected: bool) -> None:
    assert sole.is_sole(of) is expected


def test_a_second_pod_waits_until_the_first_has_gone(tmp_path: Path) -> None:
    of = volume("ReadWriteOncePod")
    assert sole.take(of, tmp_path / "first")
    assert not sole.take(of, tmp_path / "first"), "the Pod that has it, after a restart of the agent"
    for _ in range(2):
        with pytest.raises(WholeFault) as told:
            sole.take(of, tmp_path / "second")
    cause = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
    assert str(told.value) == f'MountVolume.SetUp failed for volume "pv" : {cause}'
    assert not sole.take(volume("ReadWriteOnce"), tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    assert sole.take(of, tmp_path / "second")


def test_a_pod_that_could_not_mount_it_does_not_keep_it(tmp_path: Path) -> None:
    of = volume("ReadWriteOncePod")
    sole.take(of, tmp_path / "first")
    sole.give_back(of, tmp_path / "first")
    sole.give_back(of, tmp_path / "first")
    assert sole.take(of, tmp_path / "second")
