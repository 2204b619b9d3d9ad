"""`nanokube status`: the processes of this node and the state of its Node, at a glance."""

import dataclasses
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from nanokube.cli import errors, readiness, settings
from nanokube.roles import config as node_config
from nanokube.roles import keeper, node

SERVER_COMPONENTS = ("apiserver", "agent", "manager")
WORKER_COMPONENTS = ("agent",)
_CHILDREN = {
    "nk-super": "supervisor",
    "nk-logd": "log pump",
}  # of the keeper, by comm; the server is the other


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """One process of the node. pid 0: it does not run. pss_kib: its proportional share of memory."""

    name: str
    pid: int
    pss_kib: int


@click.command()
def status() -> None:
    """Show what runs on this node and how it fares; exits with 1 if the node is not Ready."""
    errors.require_root("status")
    config = settings.running() or settings.saved()
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("PROCESS", "PID", "MEMORY"):
        table.add_column(heading)
    found = processes(config)
    for each in found:
        memory = f"{each.pss_kib / 1024:.1f} MiB" if each.pid else ""
        table.add_row(each.name, str(each.pid) if each.pid else "[red]not running[/]", memory)
    console.print(table)
    console.print(f"memory in all (PSS): {sum(each.pss_kib for each in found) / 1024:.1f} MiB")
    if config.is_worker:
        console.print(f"worker of {config.joined}")
    is_ready = readiness.is_ready(readiness.Probe(config).node())
    console.print(f"node {config.node_name}: {'[green]Ready[/]' if is_ready else '[red]not Ready[/]'}")
    raise SystemExit(0 if is_ready else 1)


def processes(config: node_config.NodeConfig) -> list[Process]:
    """Return the node's own processes: launcher, components, the runtime's."""
    found = [_process("launcher", node.running_pid(config.paths))]
    beside = ("etcd",) if config.store == node_config.ETCD else ()
    for name in WORKER_COMPONENTS if config.is_worker else (*beside, *SERVER_COMPONENTS):
        try:
            pid = int((config.paths.run / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            pid = None
        found.append(_process(name, pid))
    runtime = keeper.running_pid(config)
    found.append(_process("cri keeper", runtime))
    found += [_process(f"cri {name}", pid) for name, pid in _children(runtime)]
    return found


def _process(name: str, pid: int | None) -> Process:
    return Process(name, pid or 0, _pss_kib(pid) if pid else 0)


def _children(pid: int | None) -> list[tuple[str, int]]:
    if pid is None:
        return []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        names = [Path(f"/proc/{each}/comm").read_text().strip() for each in children]
        return [
            (_CHILDREN.get(name, "server"), int(each)) for name, each in zip(names, children, strict=True)
        ]
    except OSError:
        return []


def _pss_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
