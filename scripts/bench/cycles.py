#!/usr/bin/env python3
"""Does the runtime leak? Makes and removes Pods by the thousand and counts before and after.

    sudo .venv/bin/python scripts/bench/cycles.py [--cycles N] [--container-each N] [--workers N]

Runs in namespaces, directories and cgroups of its own and leaves none. Counted: processes, and of each its
descriptors, threads, RSS and anonymous memory; pinned namespaces, mounts, cgroups, files of state (records,
leases, layers), links, addresses, routes, nft rules. Exit code 1 if anything grew after the first 1000 Pods
(memory: by more than 0.5 MB a process, from the least in the first third to the least in the last).
Without glibc's caches of each thread: they fill for thousands of Pods, the longer the more threads there are.
"""

import argparse
import concurrent.futures
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cri.api import runtime_pb2 as pb
from scripts.bench.measure import isolate, leaks, progress, start
from scripts.bench.measure.target import Target

_WARM_UP = 1000  # threads, caches and spare room that the first Pods bring are no leak
_SAMPLES = 10
_CALLS, _CALLS_AT_A_TIME = 2000, 6
_QUIET_S = 20.0
_WITHOUT_CACHES = "glibc.malloc.tcache_count=0"  # source: glibc manual, Memory Allocation Tunables


def main() -> None:
    """Measure in namespaces of our own and print; exit with 1 if something grew."""
    options = _options()
    scratch = isolate.enter(goes_first=False)
    certs = scratch / "certs.d"
    certs.mkdir()
    os.environ["GLIBC_TUNABLES"] = _WITHOUT_CACHES
    run, lib = Path("/run") / scratch.name / "nanokube" / "run", scratch / "nanokube"
    with start.nanokube(scratch, certs) as target:
        progress.show("warming up")
        _fill_pool(target)
        cycle(target, _WARM_UP, options.container_each, options.workers)
        time.sleep(2)
        before = leaks.count(target, run, lib)
        began = time.monotonic()
        part = options.cycles // 3
        before |= _least(target, part, options.container_each, options.workers)
        cycle(target, options.cycles - 2 * part, options.container_each, options.workers)
        least = _least(target, part, options.container_each, options.workers)
        took = time.monotonic() - began
        growths = _settle(target, before, least, run, lib)
    print(f"{options.cycles} Pods made and removed in {took:.0f} s, after {_WARM_UP} to warm up")
    print("\n".join(table(growths)), flush=True)
    sys.exit(any(growth.is_leak for growth in growths))


def cycle(target: Target, cycles: int, container_each: int, workers: int) -> None:
    """Make and remove so many Pods from so many threads; each n-th has a container and an exec."""
    numbers: Iterator[int] = itertools.count(1)
    ended = threading.Event()

    def work() -> None:
        for number in numbers:
            if number > cycles or ended.is_set():
                return
            _live(target, has_container=container_each > 0 and number % container_each == 0)
            if number % 200 == 0:
                progress.show(f"cycles: {number} of {cycles}")

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(work) for _ in range(workers)]
        try:
            for task in concurrent.futures.as_completed(tasks):
                task.result()
        finally:
            ended.set()


def _live(target: Target, *, has_container: bool) -> None:
    pod = target.pod()
    sandbox = target.run(pod)
    if has_container:
        identity = target.container(sandbox, pod, "a")
        target.call("ExecSync", pb.ExecSyncRequest(container_id=identity, cmd=["true"]))
    target.remove(sandbox)


def _fill_pool(target: Target) -> None:
    """Have the server make its threads: the pool grows, once in a while, when a call meets no idle one.

    By calls that take little memory: what a burst of Pods once took would hide what grows later.
    """
    with concurrent.futures.ThreadPoolExecutor(_CALLS_AT_A_TIME) as pool:
        for _ in pool.map(lambda _: target.call("Version", pb.VersionRequest()), range(_CALLS)):
            pass


def _least(target: Target, cycles: int, container_each: int, workers: int) -> leaks.Counts:
    """Make and remove so many Pods; the least memory of each process in between.

    It goes up and down by 1 MB: CPython's table of interned strings is as often just below as just above the
    number of strings at which it doubles.
    """
    found: leaks.Counts = {}
    for number in range(_SAMPLES):
        cycle(
            target, cycles * (number + 1) // _SAMPLES - cycles * number // _SAMPLES, container_each, workers
        )
        for name, value in leaks.memory(target).items():
            found[name] = min(value, found.get(name, value))
    return found


def _settle(
    target: Target, before: leaks.Counts, least: leaks.Counts, run: Path, lib: Path
) -> list[leaks.Growth]:
    """Count until nothing is more than before, or for so long: kernel and runtime clear up behind answers."""
    deadline = time.monotonic() + _QUIET_S
    while True:
        growths = leaks.compare(before, leaks.count(target, run, lib) | least)
        if time.monotonic() > deadline or not any(growth.is_leak for growth in growths):
            return growths
        time.sleep(1)


def table(growths: list[leaks.Growth]) -> list[str]:
    """Return a table in Markdown. Pure."""
    rows = ["| | before | after | |", "| --- | --: | --: | --- |"]
    for growth in growths:
        digits = 2 if growth.name.endswith("MB") else 0
        mark = "GREW" if growth.is_leak else ""
        rows.append(f"| {growth.name} | {growth.before:.{digits}f} | {growth.after:.{digits}f} | {mark} |")
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--container-each", type=int, default=10, help="a container in each n-th; 0: in none")
    parser.add_argument("--workers", type=int, default=2, help="Pods at a time")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
