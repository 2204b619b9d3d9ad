"""Repeated calls join the first one; what nobody has used is given again."""

import dataclasses
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import create_container, run_pod_sandbox
from cri.server.flights import Flights
from cri.store import records
from tests.unit.cri.server import test_recovery as recovered


@dataclasses.dataclass
class Context:
    active: bool = True

    def is_active(self) -> bool:
        return self.active


def context(active: bool = True) -> Any:
    return cast(Any, Context(active))


REQUEST = pb.RunPodSandboxRequest(runtime_handler="a")


class Slow:
    """A call that lasts until it is let go."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self._failure = failure

    def __call__(self) -> str:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(5)
        if self._failure:
            raise self._failure
        return "made"


def start(flights: Flights, slow: Slow, results: list[str], context: Any) -> threading.Thread:
    def call() -> None:
        try:
            results.append(flights.run("pod", REQUEST, slow, context))
        except faults.RuntimeFault as err:
            results.append(err.kind.value)

    thread = threading.Thread(target=call)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("failure", "answer"), [(None, "made"), (faults.precondition("no"), "failed precondition")]
)
def test_an_equal_call_joins_the_one_under_way(failure: Exception | None, answer: str) -> None:
    flights, slow, results = Flights(), Slow(failure), list[str]()
    first = start(flights, slow, results, context(active=False))  # its client has given up: it goes on
    assert slow.begun.wait(5)
    second = start(flights, slow, results, context())
    slow.go.set()
    first.join(5)
    second.join(5)
    assert results == [answer, answer]
    assert slow.calls in (1, 2)  # the second may have come when the first was done


def test_a_different_call_is_refused_and_a_client_that_gives_up_is_let_go() -> None:
    flights, slow, results = Flights(), Slow(), list[str]()
    first = start(flights, slow, results, context())
    assert slow.begun.wait(5)
    with pytest.raises(faults.RuntimeFault) as refused:
        flights.run("pod", pb.RunPodSandboxRequest(runtime_handler="b"), slow, context())
    assert refused.value.kind is faults.Kind.ALREADY_EXISTS
    with pytest.raises(faults.RuntimeFault) as late:
        flights.run("pod", REQUEST, slow, context(active=False))
    assert late.value.kind is faults.Kind.DEADLINE_EXCEEDED
    assert flights.run("other", REQUEST, lambda: "free", context()) == "free"
    slow.go.set()
    first.join(5)
    assert (results, slow.calls) == (["made"], 1)
    assert flights.run("pod", REQUEST, lambda: "again", context()) == "again"


def sandbox_config(**fields: Any) -> pb.PodSandboxConfig:
    metadata = pb.PodSandboxMetadata(name="p", uid="u", namespace="n")
    return pb.PodSandboxConfig(metadata=metadata, **fields)


def test_a_ready_sandbox_without_containers_is_given_again(tmp_path: Path) -> None:
    env = recovered.environment(tmp_path)
    recovered.add(env, "ready", records.SandboxState.READY)
    assert run_pod_sandbox.find_unused(env, sandbox_config()) == "ready"
    assert run_pod_sandbox.find_unused(env, sandbox_config(hostname="other")) == ""
    recovered.add_container(env, "c", records.ContainerState.CREATED)
    assert run_pod_sandbox.find_unused(env, sandbox_config()) == ""


def test_what_a_failed_call_could_not_undo_does_not_hold_its_name(tmp_path: Path) -> None:
    env = recovered.environment(tmp_path)
    recovered.add(env, "begun", records.SandboxState.INTENT)
    recovered.add_container(env, "half", records.ContainerState.INTENT)
    assert run_pod_sandbox.find_unused(env, sandbox_config()) == ""
    config = env.store.containers.intents()[0].config
    assert create_container.find_unused(env, config, "ready", "half") == ""
    assert (env.store.sandboxes.intents(), env.store.containers.intents()) == ([], [])


def test_a_created_container_is_given_again_in_its_own_sandbox_only(tmp_path: Path) -> None:
    env = recovered.environment(tmp_path)
    recovered.add_container(env, "c", records.ContainerState.CREATED)
    config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="c"))
    assert create_container.find_unused(env, config, "ready", "c") == "c"
    assert create_container.find_unused(env, config, "later", "c") == ""
    assert create_container.find_unused(env, pb.ContainerConfig(tty=True), "ready", "c") == ""
    env.store.containers.update("c", lambda old: records.started(old, 5))
    assert create_container.find_unused(env, config, "ready", "c") == ""
