"""One Pod's life after the other, on each runtime in turn: time of each step, CPU time of the whole."""

import time
from collections.abc import Sequence

from cri.api import runtime_pb2 as pb
from scripts.bench.measure import progress
from scripts.bench.measure.target import Target

FIRST = "run+create+start to first instruction"
SECOND = "second container to first instruction"
ENDING = "stop+remove"
CPU = "CPU time of a Pod's life"
_WARM_UP = 3
# What a runtime still does after its last answer belongs to that Pod, not to the next runtime's.
_SETTLE_S = 0.2


def measure(targets: Sequence[Target], rounds: int) -> None:
    """Run so many lives on each, interleaved."""
    for number in progress.count("lives", rounds + _WARM_UP):
        for target in targets:
            if number == _WARM_UP:
                target.samples.clear()
            before = target.account.cpu_ms()
            live(target)
            time.sleep(_SETTLE_S)
            target.note(CPU, target.account.cpu_ms() - before)


def live(target: Target) -> None:
    """Run one Pod with two containers and an exec, from creation to removal, and note each step."""
    pod = target.pod()
    began = time.perf_counter()
    sandbox = target.run(pod, figure="RunPodSandbox")
    first = target.container(sandbox, pod, "a", create="CreateContainer", start="StartContainer")
    target.note(FIRST, (target.hear() - began) * 1e3)
    began = time.perf_counter()
    target.container(sandbox, pod, "b")
    target.note(SECOND, (target.hear() - began) * 1e3)
    target.call("ExecSync", pb.ExecSyncRequest(container_id=first, cmd=["true"]), figure="ExecSync")
    began = time.perf_counter()
    stopping = pb.StopPodSandboxRequest(pod_sandbox_id=sandbox)
    target.call("StopPodSandbox", stopping, figure="StopPodSandbox")
    removing = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox)
    target.call("RemovePodSandbox", removing, figure="RemovePodSandbox")
    target.note(ENDING, (time.perf_counter() - began) * 1e3)
