"""Claims of Pods: what is mounted, and why a Pod waits."""

import asyncio
import dataclasses
import errno
from pathlib import Path
from typing import Any

import pytest

from cri.linux import mount
from nanokube.api import resources
from nanokube.kubelet.fake import FakeMounter
from nanokube.kubelet.volumes import claim, local
from nanokube.kubelet.volumes.errors import VolumeFault
from tests.unit.nanokube.kubelet.world import NODE, PODS, World, app, play, pod

EVENTS = resources.get("events")
CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}


def a_claim(name: str = "data", *, phase: str = "Bound", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}", **metadata},
        "spec": {"volumeName": "v"},
        "status": {"phase": phase},
    }


def a_volume(*, uid: str = "uid-of-data", host: str = NODE, **spec: Any) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "v"},
        "spec": {"claimRef": {"uid": uid}, "nodeAffinity": affinity, **spec},
    }


def user(source: Any = None, *, field: str = "volumeMounts", **use: Any) -> dict[str, Any]:
    target = {"mountPath": "/data"} if field == "volumeMounts" else {"devicePath": "/dev/xvda"}
    found = pod(containers=[app(**{field: [{"name": "d", **target, **use}]})])
    found["spec"]["volumes"] = [{"name": "d", **(source or CLAIM)}]
    return found


def test_a_local_volume_is_bound_into_the_pods_place(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()

    async def scenario(world: World) -> None:
        await world.create(user({"persistentVolumeClaim": {"claimName": "data", "readOnly": True}}))
        await world.until(lambda: world.condition("Ready") == "True")
        uid = (world.pod() or {})["metadata"]["uid"]
        place = world.config.pod_directory(uid) / "volumes/kubernetes.io~local-volume/v"
        (config,) = world.runtime.configs.values()
        found = next(each for each in config.mounts if each.container_path == "/data")
        assert (found.host_path, found.readonly) == (str(place), True)
        await world.client.delete(PODS, "web", "default", grace_period_s=1)
        await world.until(lambda: world.pod() is None)
        assert not place.exists()
        assert (tmp_path / "disk").exists()

    play(tmp_path, scenario, a_claim(), a_volume(local={"path": str(tmp_path / "disk")}))


def test_an_ephemeral_volume_is_its_own_claims(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(user({"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}))
        await world.until(lambda: "FailedMount" in world.reasons())
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "web", "controller": True}
        owner["uid"] = (world.pod() or {})["metadata"]["uid"]
        world.client.put(a_claim("web-d", ownerReferences=[owner]))
        await world.until(lambda: world.condition("Ready") == "True")
        (config,) = world.runtime.configs.values()
        assert str(tmp_path) in [each.host_path for each in config.mounts]

    play(tmp_path, scenario, a_volume(uid="uid-of-web-d", hostPath={"path": str(tmp_path)}))


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        ([], "error processing PVC default/data: failed to fetch PVC from API server: "),
        (
            [a_claim(phase="Pending")],
            "failed to process volumes=[d]: error processing PVC default/data: PVC is not bound",
        ),
        ([a_claim()], "error processing PVC default/data: failed to fetch PV v from API server: "),
        (
            [a_claim(), a_volume(uid="other", hostPath={"path": "/"})],
            "found PV object v but its pv.Spec.ClaimRef.UID other does not point to claim.UID uid-of-data",
        ),
        (
            [a_claim(), a_volume(hostPath={"path": "/"}, volumeMode="Block")],
            "volume d has volumeMode Block, but is specified in volumeMounts",
        ),
        (
            [a_claim(), a_volume(host="elsewhere", hostPath={"path": "/"})],
            'MountVolume.NodeAffinity check failed for volume "v" : no matching NodeSelectorTerms',
        ),
        (
            [a_claim(), a_volume(local={"path": "/does/not/exist"})],
            'MountVolume.SetUp failed for volume "v" : path "/does/not/exist" does not exist',
        ),
        ([a_claim(), a_volume(csi={})], 'MountVolume.SetUp failed for volume "v" : no volume plugin matched'),
    ],
)
def test_a_pod_waits_for_its_claim_and_says_why(
    tmp_path: Path, seed: list[dict[str, Any]], told: str
) -> None:
    async def scenario(world: World) -> None:
        await world.create(user())
        await world.until(lambda: "FailedMount" in world.reasons())
        messages = [each["message"] for each in world.client.all(EVENTS) if each["reason"] == "FailedMount"]
        assert told in messages[0]
        assert world.status().get("phase") == "Pending"

    play(tmp_path, scenario, *seed)


def test_a_block_volume_must_be_a_device(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(user(field="volumeDevices"))
        await world.until(lambda: "FailedMapVolume" in world.reasons())

    play(tmp_path, scenario, a_claim(), a_volume(local={"path": str(tmp_path)}, volumeMode="Block"))


@dataclasses.dataclass
class Case:
    options: tuple[str, ...]
    flags: int


@pytest.mark.parametrize(
    "case",
    [
        Case((), 0),
        Case(("noexec", "ro"), mount.MS_NOEXEC | mount.MS_RDONLY),
        Case(("rw,noatime",), mount.MS_NOATIME),
    ],
)
def test_mount_options_are_flags_of_the_bind(tmp_path: Path, case: Case) -> None:
    volume = a_volume(local={"path": str(tmp_path)}, mountOptions=list(case.options))
    mounter = FakeMounter()
    place = tmp_path / "pods/u/volumes/x/v"
    local.set_up(volume, place, mounter, group=None, only_on_mismatch=False, read_only=False)
    local.set_up(volume, place, mounter, group=None, only_on_mismatch=False, read_only=False)
    assert mounter.bound == [(str(tmp_path), str(place), case.flags)]


def test_an_unknown_mount_option_is_refused(tmp_path: Path) -> None:
    volume = a_volume(local={"path": str(tmp_path)}, mountOptions=["size=3"])
    with pytest.raises(VolumeFault, match='"size=3" is not supported'):
        local.set_up(
            volume, tmp_path / "p/u/v/x/v", FakeMounter(), group=None, only_on_mismatch=False, read_only=False
        )


def test_a_sub_path_that_cannot_be_made_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FakeMounter, "bind_sub_path", refuse)

    async def scenario(world: World) -> None:
        await world.create(user(subPath="below"))
        await world.until(lambda: "Failed" in world.reasons())
        await asyncio.sleep(1)
        waiting = world.state()["state"]["waiting"]
        assert waiting["reason"] == "CreateContainerConfigError"
        message = 'failed to prepare subPath for volumeMount "d" of container "app": '
        assert waiting["message"].startswith(message)

    play(tmp_path, scenario, a_claim(), a_volume(hostPath={"path": str(tmp_path)}))


def test_a_volume_whose_owner_cannot_be_changed_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("nanokube.kubelet.volumes.ownership.give", refuse)
    volume, mounter = a_volume(local={"path": str(tmp_path)}), FakeMounter()
    place = tmp_path / "p/u/v/x/v"
    for _ in range(2):
        with pytest.raises(PermissionError):
            local.set_up(volume, place, mounter, group=1, only_on_mismatch=False, read_only=False)
    assert mounter.bound == []


class Killed(BaseException):
    """The agent's end, in the middle of what it did."""


def test_what_a_killed_agent_left_half_done_is_not_taken_for_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Path] = []

    def give(path: Path, *_: object, **__: object) -> None:
        given.append(path)
        if len(given) == 1:
            monkeypatch.setattr(FakeMounter, "unmount", die)
            raise Killed

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("nanokube.kubelet.volumes.ownership.give", give)
    (tmp_path / "disk").mkdir()
    volume, mounter = a_volume(local={"path": str(tmp_path / "disk")}), FakeMounter()
    place = tmp_path / "p/u/v/x/v"
    with pytest.raises(Killed):
        local.set_up(volume, place, mounter, group=1, only_on_mismatch=False, read_only=False)
    assert mounter.mounts_below(place) == []
    monkeypatch.undo()
    monkeypatch.setattr("nanokube.kubelet.volumes.ownership.give", give)
    local.set_up(volume, place, mounter, group=1, only_on_mismatch=False, read_only=False)
    assert len(given) == 2
    assert mounter.bound == [(str(tmp_path / "disk"), str(place), 0)]


def test_one_claim_may_be_a_volume_to_read_and_another_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    mounter = FakeMounter()
    monkeypatch.setattr("tests.unit.nanokube.kubelet.world.FakeMounter", lambda: mounter)

    async def scenario(world: World) -> None:
        made = user({"persistentVolumeClaim": {"claimName": "data", "readOnly": True}})
        made["spec"]["volumes"].append({"name": "w", **CLAIM})
        made["spec"]["containers"][0]["volumeMounts"].append({"name": "w", "mountPath": "/w"})
        await world.create(made)
        await world.until(lambda: world.condition("Ready") == "True")
        (config,) = world.runtime.configs.values()
        found = {each.container_path: each.readonly for each in config.mounts}
        assert (found["/data"], found["/w"]) == (True, False)
        assert [flags for _, _, flags in mounter.bound] == [0]

    play(tmp_path, scenario, a_claim(), a_volume(local={"path": str(tmp_path / "disk")}))


def test_a_claim_that_goes_is_used_while_it_is_protected() -> None:
    going = a_claim(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["kubernetes.io/pvc-protection"])
    claim.check_claim(going)
    going["metadata"]["finalizers"] = []
    with pytest.raises(VolumeFault, match="PVC is being deleted"):
        claim.check_claim(going)
