"""What the supervisor says, merged into a record."""

import dataclasses

from cri.api import runtime_pb2 as pb
from cri.runtime import client
from cri.server import observe, start_container
from cri.store import records

CREATED = records.Container(
    id="c",
    sandbox_id="s",
    config=pb.ContainerConfig(),
    image_id="i",
    state=records.ContainerState.CREATED,
)
STATE = client.State(
    id="c", sandbox_id="s", phase="running", pid=7, cgroup="g", created_at=1, started_at=2, finished_at=0,
    exit_code=0, reason="", message="",
)  # fmt: skip
EXIT = dataclasses.replace(STATE, phase="exited", finished_at=3, exit_code=137, reason="OOMKilled")


def test_a_running_container_has_started() -> None:
    record = observe.merge(CREATED, STATE, now=99)
    assert (record.state, record.started_at) == (records.ContainerState.RUNNING, 2)


def test_an_exit_that_overtakes_its_start_keeps_both_times() -> None:
    record = observe.merge(CREATED, EXIT, now=99)
    assert (record.state, record.started_at, record.finished_at) == (records.ContainerState.EXITED, 2, 3)
    assert (record.exit_code, record.reason) == (137, "OOMKilled")
    assert start_container.running(record, 50) is record


def test_an_exited_record_takes_no_more_news() -> None:
    done = observe.merge(CREATED, EXIT, now=99)
    assert observe.merge(done, STATE, now=100) is done


def test_an_intent_waits_for_its_commit() -> None:
    record = dataclasses.replace(CREATED, state=records.ContainerState.INTENT)
    assert observe.merge(record, STATE, now=1) is record
