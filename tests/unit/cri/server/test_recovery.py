"""What the server does at start with the records it finds."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from cri.cgroup.hierarchy import Hierarchies
from cri.config import Config
from cri.network.attach import Network
from cri.server import recovery
from cri.server.environment import Environment
from cri.server.events import EventBus
from cri.store import records, store

METADATA = pb.PodSandboxMetadata(name="p", uid="u", namespace="n")


@dataclasses.dataclass
class FakeClient:
    states: list[Any] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)

    def list(self) -> list[Any]:
        return self.states

    def remove(self, identity: str) -> None:
        self.removed.append(identity)


@dataclasses.dataclass
class FakeSnapshots:
    held: list[str] = dataclasses.field(default_factory=list)

    def keys(self) -> list[str]:
        return list(self.held)

    def remove(self, key: str) -> None:
        if key in self.held:
            self.held.remove(key)


class FakeImages:
    def collect(self) -> None:
        """Nothing to collect."""


class FakeWorker:
    def run(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class State:
    id: str


def environment(root: Path) -> Environment:
    """An environment without a kernel: real records, the rest fake."""
    config = Config(run_dir=root / "run", lib_dir=root / "lib", cni_conf_dir=root / "net.d")
    parts: dict[str, Any] = {
        "client": FakeClient(),
        "snapshots": FakeSnapshots(),
        "worker": FakeWorker(),
        "images": FakeImages(),
        "streaming": None,
    }
    return Environment(
        config=config,
        store=store.Store(config.run_dir),
        network=Network(config.cni_conf_dir, []),
        events=EventBus(),
        hierarchies=Hierarchies("", frozenset(), {}),
        now=lambda: 42,
        **parts,
    )


def add(env: Environment, identity: str, state: records.SandboxState, attempt: int = 0) -> None:
    metadata = pb.PodSandboxMetadata(name="p", uid="u", namespace="n", attempt=attempt)
    record = records.Sandbox(id=identity, config=pb.PodSandboxConfig(metadata=metadata), cgroup="x/y")
    env.store.sandboxes.reserve(record, record.name)
    env.store.sandboxes.update(identity, lambda old: dataclasses.replace(old, state=state))


def add_container(env: Environment, identity: str, state: records.ContainerState) -> None:
    config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name=identity))
    record = records.Container(id=identity, sandbox_id="ready", config=config, image_id="i")
    env.store.containers.reserve(record, identity)
    env.store.containers.update(identity, lambda old: dataclasses.replace(old, state=state))


@pytest.fixture
def found(tmp_path: Path) -> Environment:
    """Records on disk of a server that was killed: one ready Pod, one intent of each kind."""
    env = environment(tmp_path)
    add(env, "ready", records.SandboxState.READY)
    add(env, "begun", records.SandboxState.INTENT, attempt=1)
    add_container(env, "live", records.ContainerState.RUNNING)
    add_container(env, "half", records.ContainerState.INTENT)
    return environment(tmp_path)


def test_what_has_no_commit_is_undone_and_the_rest_is_adopted(
    found: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "boot_id", lambda: "one")
    recovery.run(found)
    assert [record.id for record in found.store.sandboxes.all()] == ["ready"]
    assert [record.state for record in found.store.containers.all()] == [records.ContainerState.RUNNING]
    assert found.store.sandboxes.intents() == []
    assert not found.store.sandboxes.directory("begun").exists()
    assert not found.store.containers.directory("half").exists()
    assert isinstance(found.client, FakeClient)
    assert set(found.client.removed) == {"half", "begun"}


def test_after_a_reboot_nothing_is_ready_and_exits_are_unknown(
    found: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    found.store.is_other_boot("one")
    monkeypatch.setattr(store, "boot_id", lambda: "two")
    recovery.run(found)
    assert [record.state for record in found.store.sandboxes.all()] == [records.SandboxState.NOTREADY]
    (container,) = found.store.containers.all()
    assert (container.state, container.exit_code, container.reason, container.finished_at) == (
        records.ContainerState.EXITED,
        255,
        "Unknown",
        42,
    )


def test_what_no_record_owns_is_removed(found: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "boot_id", lambda: "one")
    client, snapshots = found.client, found.snapshots
    assert isinstance(client, FakeClient)
    assert isinstance(snapshots, FakeSnapshots)
    client.states = [State("live"), State("ready"), State("stray")]
    snapshots.held = ["live", "old"]
    stray = found.config.namespaces_dir / "gone"
    stray.mkdir(parents=True)
    recovery.run(found)
    assert "stray" in client.removed
    assert not {"live", "ready"} & set(client.removed)
    assert snapshots.held == ["live"]
    assert not stray.exists()


def test_groups_that_no_record_owns_are_removed(tmp_path: Path) -> None:
    env = dataclasses.replace(
        environment(tmp_path), hierarchies=Hierarchies(str(tmp_path / "cg"), frozenset(), {})
    )
    known, stray = "a" * 64, "b" * 64
    top = tmp_path / "cg" / env.config.cgroup_root / "pods"
    for path in (known, f"burstable/pod-u/{stray}", f"{stray}/{stray[::-1]}", "burstable/pod-v"):
        (top / path).mkdir(parents=True)
    add(env, known, records.SandboxState.READY)
    recovery.run(env)
    left = sorted(str(path.relative_to(top)) for path in top.rglob("*"))
    assert left == [known, "burstable", "burstable/pod-u", "burstable/pod-v"]


def test_a_sandbox_without_its_namespaces_is_not_ready(tmp_path: Path) -> None:
    env = environment(tmp_path)
    add(env, "whole", records.SandboxState.READY)
    add(env, "robbed", records.SandboxState.READY, attempt=1)
    pin = tmp_path / "run" / "ns" / "robbed" / "net"
    pin.parent.mkdir(parents=True)
    pin.touch()
    env.store.sandboxes.update("robbed", lambda old: dataclasses.replace(old, namespaces={"net": str(pin)}))
    recovery.run(env)
    states = {record.id: record.state for record in env.store.sandboxes.all()}
    assert states == {"whole": records.SandboxState.READY, "robbed": records.SandboxState.NOTREADY}
