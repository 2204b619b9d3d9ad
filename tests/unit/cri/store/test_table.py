"""The write-ahead tables: reservation, commit, prefix look-up, recovery from disk."""

import dataclasses
import gc
import sys
import threading
from pathlib import Path

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.store import files, records
from cri.store.store import Store, new_id


def sandbox(identity: str, name: str = "web", attempt: int = 0) -> records.Sandbox:
    metadata = pb.PodSandboxMetadata(name=name, namespace="default", uid="u1", attempt=attempt)
    config = pb.PodSandboxConfig(metadata=metadata, labels={"app": "web"})
    return records.Sandbox(id=identity, config=config, created_at=5, cgroup="pods/a")


def committed(record: records.Sandbox) -> records.Sandbox:
    return dataclasses.replace(record, state=records.SandboxState.READY, ips=("10.0.0.2",))


def container(identity: str, sandbox_id: str) -> records.Container:
    config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="c"))
    return records.Container(
        id=identity,
        sandbox_id=sandbox_id,
        config=config,
        image_id="sha256:1",
        user=records.User(1, 2, (3, 4)),
        resources=pb.LinuxContainerResources(cpu_shares=7),
    )


def test_an_intent_is_seen_by_nobody_until_its_commit(tmp_path: Path) -> None:
    table = Store(tmp_path).sandboxes
    record = sandbox("aa11")
    table.reserve(record, record.name)
    assert (table.all(), table.find("aa11"), table.intents()) == ([], None, [record])
    table.update("aa11", committed)
    assert [item.id for item in table.all()] == ["aa11"]
    assert table.intents() == []


def test_a_name_is_reserved_until_its_record_is_deleted(tmp_path: Path) -> None:
    table = Store(tmp_path).sandboxes
    table.reserve(sandbox("aa"), sandbox("aa").name)
    with pytest.raises(faults.RuntimeFault, match="reserved for 'aa'") as caught:
        table.reserve(sandbox("bb"), sandbox("bb").name)
    assert caught.value.kind is faults.Kind.ALREADY_EXISTS
    table.reserve(sandbox("cc", attempt=1), sandbox("cc", attempt=1).name)
    table.delete("aa")
    table.reserve(sandbox("bb"), sandbox("bb").name)


def test_an_unambiguous_prefix_finds_a_record(tmp_path: Path) -> None:
    table = Store(tmp_path).sandboxes
    for number, identity in enumerate(("aa11", "aa22", "bb33")):
        record = sandbox(identity, attempt=number)
        table.reserve(record, record.name)
        table.update(identity, committed)
    assert table.get("bb").id == "bb33"
    with pytest.raises(faults.RuntimeFault) as ambiguous:
        table.find("aa")
    assert ambiguous.value.kind is faults.Kind.INVALID_ARGUMENT
    for unknown, kind in (("", faults.Kind.INVALID_ARGUMENT), ("cc", faults.Kind.NOT_FOUND)):
        with pytest.raises(faults.RuntimeFault) as missing:
            table.get(unknown)
        assert missing.value.kind is kind


def test_records_survive_the_process(tmp_path: Path) -> None:
    first = Store(tmp_path)
    pod = sandbox("aa")
    first.sandboxes.reserve(pod, pod.name)
    pod = first.sandboxes.update("aa", committed)
    member = container("c1", "aa")
    first.containers.reserve(member, "c_name")
    member = first.containers.update("c1", lambda old: records.started(old, 9))
    second = Store(tmp_path)
    assert second.load() == []
    assert second.sandboxes.get("aa") == pod
    assert second.containers.get("c1") == member
    assert second.containers_of("aa") == [member]
    with pytest.raises(faults.RuntimeFault, match="reserved"):
        second.sandboxes.reserve(sandbox("bb"), sandbox("bb").name)


def test_a_directory_without_a_whole_record_is_reported(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "sandboxes/half").mkdir(parents=True)
    files.create(tmp_path / "containers/bad", b"", b"{not json")
    assert store.load() == [tmp_path / "sandboxes/half", tmp_path / "containers/bad"]


def test_the_boot_is_noticed_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    answers = [store.is_other_boot(boot) for boot in ("one", "one", "two", "two")]
    assert answers == [False, False, True, False]


def test_wait_ends_when_the_record_changes_or_goes(tmp_path: Path) -> None:
    table = Store(tmp_path).sandboxes
    table.reserve(sandbox("aa"), "n")
    assert not table.wait("aa", lambda record: record is None, 0.01)
    done = threading.Event()

    def wait() -> None:
        if table.wait("aa", lambda record: record is None, 5):
            done.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    table.delete("aa")
    waiter.join(5)
    assert done.is_set()


def test_an_exit_is_recorded_once() -> None:
    record = container("c", "s")
    first = records.exited(record, code=0, now=3)
    assert (first.reason, first.exit_code, first.finished_at) == ("Completed", 0, 3)
    assert records.exited(first, code=9, now=4) is first
    assert records.exited(record, code=137, now=3, is_oom=True).reason == "OOMKilled"
    assert records.exited(record, code=2, now=3).reason == "Error"
    lost = records.lost(record, 3)
    assert (lost.exit_code, lost.reason) == (255, "Unknown")


def test_callbacks_come_once_and_can_be_forgotten(tmp_path: Path) -> None:
    table, told = Store(tmp_path).sandboxes, list[str]()
    table.reserve(sandbox("aa"), "n")
    table.when("aa", lambda record: record is None, lambda: told.append("gone"))
    table.when("aa", lambda record: record is not None, lambda: told.append("there"))
    forget = table.when("aa", lambda record: record is None, lambda: told.append("never"))
    forget()
    forget()
    table.delete("aa")
    table.delete("aa")
    assert told == ["there", "gone"]
    table.when("aa", lambda record: record is None, lambda: told.append("late"))
    assert told[-1] == "late"


def test_records_that_come_and_go_leave_nothing_in_memory(tmp_path: Path) -> None:
    table = Store(tmp_path).sandboxes

    def live(number: int) -> None:
        config = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name=f"p{number}", uid=f"u{number}"))
        made = records.Sandbox(id=new_id(), config=config)
        table.reserve(made, made.name)
        forget = table.when(made.id, lambda record: record is None, lambda: None)
        ready = table.update(made.id, lambda old: dataclasses.replace(old, state=records.SandboxState.READY))
        with table.lock(ready.id):
            table.delete(ready.id)
        forget()

    for number in range(20):
        live(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(200):
        live(number)
    gc.collect()
    assert sys.getallocatedblocks() - before < 100
