"""scripts/vm-lab: boots the machines, provisions them, asks what a cluster must answer, and tells in a table.

    boot, provision ── nodes, pods, cross-node, service, dns ── worker-killed, server-killed, reboot

Run in a network namespace of its own. A scenario that fails does not stop those after it, unless it is one
of the first two.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from scripts.vm import machine
from scripts.vm.machine import LabError, Machine

PROVISION_S = 600.0
SETTLE_S = 300.0
WORKLOAD = Path(__file__).with_name("workload.yaml")


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"vm-lab: {text}", flush=True)


@dataclasses.dataclass(slots=True)
class Lab:
    """The machines, and by which of them kubectl is run."""

    machines: Sequence[Machine]
    asked: Machine
    resumes: bool = False
    token: str = dataclasses.field(default_factory=lambda: f"{secrets.token_hex(3)}.{secrets.token_hex(8)}")
    key: str = dataclasses.field(default_factory=lambda: secrets.token_hex(32))

    @property
    def servers(self) -> Sequence[Machine]:
        return [each for each in self.machines if each.role != "worker"]

    @property
    def workers(self) -> Sequence[Machine]:
        return [each for each in self.machines if each.role == "worker"]

    def kubectl(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run stock kubectl on a server. Raises LabError."""
        command = f"KUBECONFIG=/etc/nanokube/admin.conf /opt/kubectl {shlex.join(arguments)}"
        return self.asked.run(command, timeout_s)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Get objects. Raises LabError."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return found

    def pods(self, app: str) -> list[dict[str, Any]]:
        """Return Pods that are Ready and stay."""
        found = self.items("pods", "-n", "lab", "-l", f"app={app}")
        return [pod for pod in found if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def ready_nodes(self) -> set[str]:
        """Return the names of Nodes that are Ready."""
        return {node["metadata"]["name"] for node in self.items("nodes") if is_ready(node)}


def is_ready(found: Mapping[str, Any]) -> bool:
    """Tell whether a Node's or Pod's condition Ready is True. Pure."""
    conditions = found.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def until(what: str, ask: Callable[[], bool], timeout_s: float = SETTLE_S) -> None:
    """Wait until ask is true. Raises LabError."""
    end = time.monotonic() + timeout_s
    cause = ""
    while time.monotonic() < end:
        try:
            if ask():
                return
        except LabError as err:
            cause = f": {err}"
        time.sleep(2)
    raise LabError(f"not within {timeout_s:.0f} s: {what}{cause}")


def at_once(machines: Sequence[Machine], work: Callable[[Machine], object]) -> None:
    """Do work with several machines at a time. Raises the first LabError."""
    pool = concurrent.futures.ThreadPoolExecutor(max(len(machines), 1))
    try:
        for done in [pool.submit(work, each) for each in machines]:
            done.result()
    finally:
        pool.shutdown(wait=False)  # an interrupted lab switches the machines off, which ends what they do


def boot(lab: Lab) -> None:
    """Every machine runs systemd on pure cgroup v2, and reaches the first."""
    for each in lab.machines:
        each.make(anew=not lab.resumes)
        each.start()
    at_once(lab.machines, lambda each: each.wait())
    for each in lab.machines:
        each.run("test -d /run/systemd/system && test -e /sys/fs/cgroup/cgroup.controllers")
        each.run(f"ping -c 1 -W 20 {lab.asked.address}")


def provision(lab: Lab) -> None:
    """scripts/provision makes each machine a node."""
    _provision(lab, lab.servers[0])
    for each in lab.servers[1:]:
        _provision(lab, each)  # etcd takes one new member at a time
    at_once(lab.workers, lambda each: _provision(lab, each))
    at_once(lab.machines, lambda each: each.run(".venv/bin/nanokube image import /opt/demo.tar"))
    text = WORKLOAD.read_text().replace("LAST_WORKER", lab.workers[-1].name)
    lab.asked.run(f"cat >/opt/workload.yaml <<'END'\n{text}\nEND")
    lab.kubectl("apply", "-f", "/opt/workload.yaml")


def _provision(lab: Lab, each: Machine) -> None:
    began = time.monotonic()
    arguments = [each.role, "--address", each.address]
    if each is not lab.servers[0]:
        arguments += ["--server", lab.servers[0].address]
    elif len(lab.servers) > 1:
        arguments += ["--etcd"]
    secret = f"NANOKUBE_TOKEN={lab.token} NANOKUBE_CERTIFICATE_KEY={lab.key}"
    command = f"{secret} scripts/provision {shlex.join(arguments)}"

    def heard(line: str) -> None:
        if line:
            say(f"  {each.name}: {line}")

    each.run(command, PROVISION_S, heard)
    say(f"  {each.name} is provisioned ({time.monotonic() - began:.0f} s)")


def nodes(lab: Lab) -> None:
    """Every Node is Ready, under the address of the network that all share."""
    expected = {each.name: each.address for each in lab.machines}
    until("every Node is Ready", lambda: lab.ready_nodes() == set(expected))
    for node in lab.items("nodes"):
        name = node["metadata"]["name"]
        internal = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        if internal != [expected[name]]:
            raise LabError(f"Node {name} has the addresses {internal}, not {expected[name]}")


def pods(lab: Lab) -> None:
    """A Pod of the DaemonSet is Ready on each node."""
    names = {each.name for each in lab.machines}
    until("a Pod on each node", lambda: {pod["spec"]["nodeName"] for pod in lab.pods("each")} == names)


def cross_node(lab: Lab) -> None:
    """From each node's Pod every node's Pod answers, at its own address."""
    found = lab.pods("each")
    # Not wget -T: Debian's static busybox dies of it.
    fetches = "; ".join(
        f"timeout 20 wget -q -O - http://{pod['status']['podIP']}:8080/ || exit 1" for pod in found
    )
    expected = sorted(pod["metadata"]["name"] for pod in found)
    for pod in found:
        name = pod["metadata"]["name"]
        answers = lab.kubectl("exec", "-n", "lab", name, "--", "sh", "-c", fetches)
        if sorted(answers.split()) != expected:
            raise LabError(f"on {pod['spec']['nodeName']}: of {expected} answer {answers.split()}")
    say(f"  {len(found)} x {len(found)} answers")


def service(lab: Lab) -> None:
    """On each node every Pod of the Service answers at its ClusterIP."""
    found = json.loads(lab.kubectl("get", "service", "each", "-n", "lab", "-o", "json"))
    address = found["spec"]["clusterIP"]
    expected = {pod["metadata"]["name"] for pod in lab.pods("each")}
    fetch = f"for i in $(seq 30); do timeout 20 busybox wget -q -O - http://{address}/ || exit 1; done"
    for each in lab.machines:
        answers = set(each.run(fetch).split())
        if answers != expected:
            raise LabError(f"on {each.name} answer {sorted(answers)}, not {sorted(expected)}")


def dns(lab: Lab) -> None:
    """In each node's Pod the Service's name leads to it."""
    known = {pod["metadata"]["name"] for pod in lab.pods("each")}
    for pod in lab.pods("each"):
        fetch = "timeout 30 wget -q -O - http://each.lab.svc.cluster.local/ && timeout 30 wget -q -O - http://each/"
        answers = lab.kubectl("exec", "-n", "lab", pod["metadata"]["name"], "--", "sh", "-c", fetch).split()
        if len(answers) != 2 or not set(answers) <= known:
            raise LabError(f"on {pod['spec']['nodeName']}: {answers}")


def worker_killed(lab: Lab) -> None:
    """A worker is switched off: its Pods are Ready elsewhere; switched on, it takes Pods again."""
    victim = lab.workers[-1]
    until("two Pods that can move", lambda: len(lab.pods("moves")) == 2)
    before = [pod["spec"]["nodeName"] for pod in lab.pods("moves")]
    if victim.name not in before:
        raise LabError(f"no Pod to move from {victim.name}: they are on {before}")
    victim.kill()
    began = time.monotonic()
    until("NotReady", lambda: victim.name not in lab.ready_nodes())
    say(f"  {victim.name} is not Ready {time.monotonic() - began:.0f} s after its death")

    def elsewhere() -> bool:
        found = [pod["spec"]["nodeName"] for pod in lab.pods("moves")]
        return len(found) == 2 and victim.name not in found

    until("Pods elsewhere", elsewhere)
    say(f"  its Pods are Ready elsewhere after {time.monotonic() - began:.0f} s")
    victim.start()
    victim.wait()
    settled(lab)


def server_killed(lab: Lab) -> None:
    """The first server is switched off: the others take writes; switched on, it serves again."""
    victim, lab.asked = lab.servers[0], lab.servers[1]
    victim.kill()
    began = time.monotonic()
    until("a write", lambda: bool(lab.kubectl("create", "configmap", "after", "-n", "lab", "-o", "name")))
    say(f"  a write was taken {time.monotonic() - began:.0f} s after {victim.name}'s death")
    victim.start()
    victim.wait()
    lab.asked = victim
    until("it serves", lambda: bool(lab.kubectl("get", "configmap", "after", "-n", "lab")))
    settled(lab)


def reboot(lab: Lab) -> None:
    """Every machine reboots at once: everything answers again."""
    boots = {each.name: each.run("cat /proc/sys/kernel/random/boot_id") for each in lab.machines}
    for each in lab.machines:
        each.run("systemd-run --on-active=2 systemctl reboot")

    def is_anew(each: Machine) -> bool:
        return each.run("cat /proc/sys/kernel/random/boot_id", 30) != boots[each.name]

    at_once(lab.machines, lambda each: until(f"{each.name} is up", lambda: is_anew(each), machine.BOOT_S))
    settled(lab)


def settled(lab: Lab) -> None:
    """Everything answers: nodes, Pods, each other, the Service, its name."""
    nodes(lab)
    pods(lab)
    for ask in (cross_node, service, dns):
        until(ask.__name__, lambda ask=ask: ask(lab) is None)  # type: ignore[misc]


SCENARIOS: Mapping[str, Callable[[Lab], None]] = {
    "boot": boot,
    "provision": provision,
    "nodes": nodes,
    "pods": pods,
    "cross-node": cross_node,
    "service": service,
    "dns": dns,
    "worker-killed": worker_killed,
    "server-killed": server_killed,
    "reboot": reboot,
}
FIRST = ("boot", "provision")


def run(lab: Lab, chosen: Sequence[str]) -> list[tuple[str, str, float]]:
    """Run scenarios; return name, what came of it ("" if it passed), seconds."""
    results: list[tuple[str, str, float]] = []
    for name, scenario in SCENARIOS.items():
        if name not in (*FIRST, *chosen):
            continue
        say(f"{name}: {scenario.__doc__}")
        began, cause = time.monotonic(), ""
        try:
            scenario(lab)
        except LabError as err:
            cause = str(err)
            say(f"  FAILED: {cause}")
        results.append((name, cause, time.monotonic() - began))
        if cause and name in FIRST:
            break
    return results


def tell(lab: Lab, results: Sequence[tuple[str, str, float]]) -> None:
    """Print the table, and the nodes' logs if something failed."""
    if any(cause for _name, cause, _seconds in results):
        for each in lab.machines:
            try:
                code, log = each.attempt(
                    "tail -n 15 /var/log/nanokube/*.log; journalctl -n 15 --no-pager", 60
                )
            except LabError as err:
                code, log = 1, str(err)
            say(f"{each.name} ({code}):\n{log}")
    print(f"\n{'scenario':<16} {'seconds':>8}  result")
    for name, cause, seconds in results:
        print(
            f"{name:<16} {seconds:>8.0f}  {f'FAILED: {cause}'.splitlines()[0][:110] if cause else 'passed'}"
        )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/vm-lab", description="a cluster of virtual machines, tested"
    )
    parser.add_argument("--servers", type=int, default=1, help="1, or 3 for a control plane on etcd")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=int, default=1536, help="of each machine, in MiB")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, by commas: %(default)s")
    parser.add_argument("--keep", action="store_true", help="leave disks and consoles")
    parser.add_argument("--resume", action="store_true", help="go on with disks that --keep left")
    parser.add_argument("--place", type=Path, required=True, help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    if found.servers < 1 or found.workers < 1:
        parser.error("at least one server and one worker")
    if unknown := set(found.only.split(",")) - set(SCENARIOS):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the lab; whatever happens, its machines end."""
    options = parse(arguments)
    chosen = options.only.split(",")
    if options.servers < 3:  # two have no majority when one dies
        chosen = [name for name in chosen if name != "server-killed"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine.make_link()
    how = machine.acceleration()
    machines = [
        Machine(name, role, number, options.place, options.memory, how)
        for name, role, number in machine.roster(options.servers, options.workers)
    ]
    say(f"{len(machines)} machines of {options.memory} MiB ({how})")
    lab = Lab(machines, machines[0], options.resume)
    try:
        results = run(lab, chosen)
        tell(lab, results)
    finally:
        for each in machines:
            each.close()
            if not options.keep:
                (options.place / f"{each.name}.qcow2").unlink(missing_ok=True)
    return 1 if any(cause for _name, cause, _seconds in results) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
