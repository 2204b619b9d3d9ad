"""Many Pods at a time: asked for at once, and the memory that they need while they idle."""

import concurrent.futures
import time
from collections.abc import Sequence

import grpc

from scripts.bench.measure import progress
from scripts.bench.measure.target import Target

BURST = "100 Pods at once, until all run"
BURST_ERRORS = "errors"
AVAILABLE = "memory of 100 idle Pods: drop of MemAvailable"
CHARGED = "memory of 100 idle Pods: charged to the cgroup"
PSS = "memory of 100 idle Pods: PSS of the runtime"
PODS = 100
_GENTLY = 4  # Pods at a time where the burst is not what is measured
_SETTLE_S = 3.0


def burst(targets: Sequence[Target], rounds: int) -> None:
    """Ask each for 100 Pods of one container at once; seconds until the last first instruction."""
    for _ in progress.count("bursts", rounds):
        for target in targets:
            progress.show(f"{PODS} Pods at once on {target.name}")
            began = time.perf_counter()
            errors = _make(target, PODS)
            target.note(BURST, target.hear(PODS - errors) - began)
            target.note(BURST_ERRORS, errors)
            _clear(target)


def memory(targets: Sequence[Target], rounds: int) -> None:
    """Fill each with 100 idle Pods of one container; what that took from the machine, workloads excluded."""
    for target in targets:  # threads, caches and heaps that the first Pods bring are no Pod's
        target.hear(PODS - _make(target, _GENTLY))
        _clear(target)
    for _ in progress.count("fillings", rounds):
        for target in targets:
            progress.show(f"{PODS} idle Pods on {target.name}")
            _fill(target)


def _fill(target: Target) -> None:
    time.sleep(_SETTLE_S)
    available, charged = target.account.available_mb(), target.account.charged_mb()
    own, workload = target.account.pss_mb()
    if _make(target, _GENTLY):
        raise RuntimeError(f"cannot fill {target.name}: a Pod failed")
    target.hear(PODS)
    time.sleep(_SETTLE_S)
    own_after, workload_after = target.account.pss_mb()
    drop, rise = available - target.account.available_mb(), target.account.charged_mb() - charged
    target.note(AVAILABLE, drop - (workload_after - workload))
    target.note(CHARGED, rise - (workload_after - workload))
    target.note(PSS, own_after - own)
    progress.show(f"{target.name}: {drop:.1f} MB less available, {rise:.1f} MB charged")
    _clear(target)


def _make(target: Target, at_once: int) -> int:
    """Make Pods from so many threads; how many failed."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(lambda _: _try(target), range(PODS)))


def _try(target: Target) -> int:
    pod = target.pod()
    try:
        target.container(target.run(pod), pod, "a")
    except grpc.RpcError as err:
        progress.show(f"{target.name}: {err.code().name}: {err.details()}")
        return 1
    return 0


def _clear(target: Target) -> None:
    with concurrent.futures.ThreadPoolExecutor(_GENTLY) as pool:
        list(pool.map(target.remove, target.sandboxes()))
