"""A cluster of a lab's nodes: made by the same commands that make one of real hosts. Blocks."""

import shlex
from collections.abc import Callable, Sequence
from concurrent import futures

from nanokube.lab import control, faults, place

Report = Callable[[str], None]


def bring_up(lab: place.Lab, report: Report, options: Sequence[str] = ()) -> None:
    """Make one cluster of the lab's nodes. Raises LabError.

    report: is told of each that is Ready. options: of the first server's `up`, further ones.
    """
    first, *others = lab.nodes
    servers = [node for node in others if node.role == place.SERVER]
    workers = [node for node in others if node.role == place.WORKER]
    store = ["--etcd"] if servers else []
    control.nanokube(lab, first.name, "up", *_own(lab, first), *place.RANGES[lab.ip_family], *store, *options)
    report(first.name)
    if servers:
        line = shlex.split(control.nanokube(lab, first.name, "token", "create", "--control-plane"))[3:]
        for node in servers:  # etcd takes in one after the other
            control.nanokube(lab, node.name, "join", *line, *_own(lab, node))
            report(node.name)
    if workers:
        line = shlex.split(control.nanokube(lab, first.name, "token", "create"))[3:]
        with futures.ThreadPoolExecutor(len(workers)) as pool:
            joins = {
                pool.submit(control.nanokube, lab, node.name, "join", *line, *_own(lab, node)): node.name
                for node in workers
            }
            for done in futures.as_completed(joins):
                done.result()
                report(joins[done])


def _own(lab: place.Lab, node: place.Node) -> list[str]:
    options = {
        "--node-name": node.name,
        "--node-ip": node.address,
        "--cgroup-root": lab.cgroup_root(node.name),
    }
    return [part for pair in options.items() for part in pair]


def resume(lab: place.Lab, name: str) -> None:
    """Switch a node on, with the faults it had, and start what it ran. Raises LabError."""
    control.power(lab, name, on=True)
    faults.restore(lab, name)
    if control.run(lab, name, ["test", "-e", "/etc/nanokube/node.json"], check=False).returncode == 0:
        control.nanokube(lab, name, "up")
