#!/usr/bin/env python3
"""How fast the container runtime is over CRI and how little it needs, beside containerd in the same run.

    sudo .venv/bin/python scripts/bench/runtime.py [--peer DIRECTORY [--crun]] [--only PART] [--rounds N]

Prints a table in Markdown; progress goes to stderr. Runs in namespaces, directories and cgroups of its own
and leaves none. DIRECTORY holds Debian's containerd, runc, crun, libyajl2 and containernetworking-plugins,
unpacked and not installed:

    apt-get download containerd runc crun libyajl2 containernetworking-plugins
    for package in *.deb; do dpkg -x "$package" DIRECTORY; done

Parts, each interleaved over the runtimes, through one gRPC client, on a network of its own each:

    steps    a Pod's life: RunPodSandbox, CreateContainer, StartContainer, a second container, ExecSync,
             StopPodSandbox, RemovePodSandbox; "first instruction" is when the container's program writes
             to a FIFO of the host. Median / p95 / p99; CPU time, user and system, by a cgroup that holds
             the runtime, its shims and plugins, and the containers
    burst    100 Pods of one container asked for at once, until all run
    memory   100 idle Pods of one container: drop of MemAvailable (anonymous memory of programs that are
             not part of the measurement is taken out of it); proportional set size of the runtime's
             processes with shims and pauses; rise of the memory, the kernel's too, that is charged to a
             cgroup around runtime and Pods. The workload's own set size is taken off
    pull     PullImage of one gzip layer of 40 MB from a registry on loopback

Ratios are of medians. docs/performance.md has the table and what it says.
"""

import argparse
import contextlib
import sys
from pathlib import Path

from scripts.bench.measure import isolate, many, progress, pull, registry, start, steps, table
from scripts.bench.measure.target import Target

PARTS = {"steps": 50, "burst": 2, "memory": 2, "pull": 5}  # and how many rounds by default


def main() -> None:
    """Measure in namespaces of our own and print."""
    options = _options()
    scratch = isolate.enter()
    certs = scratch / "certs.d"
    certs.mkdir()
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(start.nanokube(scratch, certs))]
        for binary in ["usr/sbin/runc"] * bool(options.peer) + ["usr/bin/crun"] * options.crun:
            progress.show(f"starting containerd for {Path(binary).name}")
            targets.append(stack.enter_context(start.containerd(scratch, certs, options.peer, binary)))
        try:
            for part in options.only or PARTS:
                measure(part, targets, options.rounds or PARTS[part], certs)
        finally:  # what is there is shown, if it was interrupted too
            print("\n".join(table.lines(targets)), flush=True)


def measure(part: str, targets: list[Target], rounds: int, certs: Path) -> None:
    """Measure one part."""
    if part == "steps":
        steps.measure(targets, rounds)
    elif part == "burst":
        many.burst(targets, rounds)
    elif part == "memory":
        many.memory(targets, rounds)
    elif part == "pull":
        progress.show("making the layer")
        with registry.serving(certs, rounds + 1) as served:
            pull.measure(targets, rounds, served)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help=f"of each part; by default {PARTS}")
    parser.add_argument("--peer", type=lambda text: Path(text).absolute(), help="directory, see above")
    parser.add_argument("--crun", action="store_true", help="measure containerd + crun too")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated")
    options = parser.parse_args()
    if options.crun and not options.peer:
        parser.error("--crun needs --peer")
    return options


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
