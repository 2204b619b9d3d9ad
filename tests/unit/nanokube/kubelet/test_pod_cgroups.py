"""Cgroups of Pods are found in every hierarchy and removed whole."""

from pathlib import Path

from nanokube.kubelet import pod_cgroups


def test_the_cgroups_of_a_pod_are_found_and_removed_in_every_hierarchy(tmp_path: Path) -> None:
    points = [tmp_path / "memory", tmp_path / "cpu", tmp_path / "absent"]
    for point in points[:2]:
        (point / "nk/pods/besteffort/poduid-1/container").mkdir(parents=True)
        (point / "nk/pods/burstable/poduid-2").mkdir(parents=True)
        (point / "nk/pods/burstable/other").mkdir()
    found = pod_cgroups.find(points, "/nk/pods")
    assert {uid: len(places) for uid, places in found.items()} == {"uid-1": 2, "uid-2": 2}
    pod_cgroups.remove(found["uid-1"])
    assert set(pod_cgroups.find(points, "/nk/pods")) == {"uid-2"}


def test_a_busy_cgroup_stays(tmp_path: Path) -> None:
    place = tmp_path / "nk/besteffort/poduid"
    (place / "a").mkdir(parents=True)
    (place / "cgroup.procs").touch()  # a plain directory with a file cannot be removed, as a busy cgroup
    pod_cgroups.remove([place])
    assert place.is_dir()
    pod_cgroups.remove([tmp_path / "gone"])
