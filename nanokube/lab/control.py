"""What a lab is told from outside: made, ended, nodes switched on and off, commands run. Blocks."""

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nanokube.kit import clock
from nanokube.lab import place

HUB_TIMEOUT_S = 15.0
END_TIMEOUT_S = 10.0
CGROUPS = Path("/sys/fs/cgroup")


def create(lab: place.Lab) -> place.Lab:
    """Start the hub of a lab and switch its nodes on; nothing of Kubernetes runs in them yet.

    Raises LabError, LabIsThereError.
    """
    if any(_processes(lab.directory)):
        raise place.LabIsThereError(
            f"lab {lab.name} is there already", f"end it: `nanokube lab down {lab.name}`"
        )
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (lab.directory / "faults.json").unlink(missing_ok=True)
    place.save(lab)
    with (lab.directory / "hub.log").open("ab") as output:
        hub = subprocess.Popen(
            [sys.executable, "-m", "nanokube.lab.hub", os.fspath(lab.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    assert hub.stdout is not None
    with hub.stdout:
        said = hub.stdout.readline()
        hub.wait()  # it has forked
        if said != b"ready\n":
            raise place.LabError("the lab's hub did not start", f"see {lab.directory}/hub.log")
    for node in lab.nodes:
        power(lab, node.name, on=True)
    return place.read(lab.directory)


def power(lab: place.Lab, node: str, *, on: bool) -> place.Node:
    """Switch a node on or off; what ran in it is gone at once. Raises LabError."""
    order = {"do": "start" if on else "kill", "node": lab.node(node).name}
    try:
        with socket.socket(socket.AF_UNIX) as hub:
            hub.settimeout(HUB_TIMEOUT_S)
            hub.connect(os.fspath(lab.directory / "hub.sock"))
            hub.sendall(json.dumps(order).encode() + b"\n")
            answer = json.loads(hub.makefile("rb").readline())
    except (OSError, ValueError) as err:
        raise place.LabError(f"the hub of lab {lab.name} does not answer: {err}", "end it: lab down") from err
    if "error" in answer:
        raise place.LabError(answer["error"], f"see {lab.directory}/hub.log")
    if not on:
        remove_cgroups(lab.cgroup_root(node))  # a machine that reboots has none
    return place.Node(**answer)


def enter(lab: place.Lab, name: str) -> list[str]:
    """Return the command that runs what follows it in a node. Raises LabError if it is off."""
    node = place.read(lab.directory).node(name)
    if not node.pid or not Path(f"/proc/{node.pid}").exists():
        raise place.LabError(f"node {name} is off", f"switch it on: `nanokube lab start {name}`")
    environment = ["KUBECONFIG=/etc/nanokube/admin.conf", f"{clock.OFFSET_VARIABLE}={place.CLOCK_FILE}"]
    return ["nsenter", "-t", str(node.pid), "-n", "-m", "-u", "-i", "-p", "env", "-C", "/", *environment]


def run(
    lab: place.Lab,
    node: str,
    command: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 120.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a node and collect its output. Raises LabError if it fails, unless check is off."""
    try:
        done = subprocess.run(
            [*enter(lab, node), *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise place.LabError(f"{node}: {shlex.join(command)}: no end within {timeout_s:.0f} s") from err
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise place.LabError(f"{node}: {shlex.join(command)}: exit {done.returncode}: {said}")
    return done


def nanokube(lab: place.Lab, node: str, *arguments: str, timeout_s: float = 150.0) -> str:
    """Run nanokube in a node; return what it printed. Raises LabError."""
    command = [sys.executable, "-m", "nanokube.cli", *arguments]
    done = run(lab, node, command, timeout_s=timeout_s, check=False)
    if done.returncode:  # its options may be secrets
        raise place.LabError(f"{node}: nanokube {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout + done.stderr


def destroy(name: str) -> bool:
    """End every process of a lab and remove what it made; tell whether there was anything.

    Needs no record: it finds the processes by their command lines, so it works after any kill.
    """
    directory = place.home() / name
    was_there = directory.exists()
    deadline = time.monotonic() + END_TIMEOUT_S
    while pids := list(_processes(directory)):
        was_there = True
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise place.LabError(f"processes of lab {name} do not end: {pids}")
        time.sleep(0.02)
    remove_cgroups(f"{place.cgroup_prefix(name)}*")
    with contextlib.suppress(FileNotFoundError):
        for file in directory.iterdir():
            if file.is_dir():
                file.rmdir()  # "files": its contents went with the hub's mount namespace
            else:
                file.unlink()
        directory.rmdir()
    with contextlib.suppress(OSError):
        place.home().rmdir()
    return was_there


def _processes(directory: Path) -> Iterator[int]:
    """Yield the hub, the holders and the nodes' first processes of a lab: forks that share a command line."""
    wanted = b"\0".join([b"-m", b"nanokube.lab.hub", os.fsencode(directory), b""])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes().endswith(wanted):
                    yield int(entry.name)


def remove_cgroups(pattern: str) -> None:
    """Remove cgroups whose processes have ended, by the name's glob, in every hierarchy."""
    for attempt in range(100):
        tops = [*CGROUPS.glob(pattern), *CGROUPS.glob(f"*/{pattern}")]
        if not tops:
            return
        for top in tops:
            for found, _directories, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(found)
        time.sleep(0.02 if attempt else 0)


def names() -> list[str]:
    """List the labs that are recorded."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(each.name for each in place.home().iterdir() if (each / "lab.json").exists())
    return []


def server_of(lab: place.Lab) -> place.Node:
    """Return a server that is on. Raises LabError."""
    for node in place.read(lab.directory).nodes:
        if node.role == place.SERVER and node.pid:
            return node
    raise place.LabError(f"no server of lab {lab.name} is on", "switch one on: `nanokube lab start s1`")


def refreshed(lab: place.Lab) -> place.Lab:
    """Return the lab with its nodes as they are now."""
    return dataclasses.replace(lab, nodes=place.read(lab.directory).nodes)
