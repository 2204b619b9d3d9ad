"""What scripts/vm-lab does with its machines and asks of their cluster: a function each, in this order.

    boot, provision ── nodes, pods, cross-node, service, dns ── again ── worker-killed, server-killed
        ── graceful, reboot

Each raises LabError where the cluster does not answer as it must.
"""

import json
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.vm import machine, page
from scripts.vm.cluster import Lab, at_once, say, until
from scripts.vm.machine import LabError, Machine

PROVISION_S = 900.0
GRACE_S = 60  # of the first worker's shutdown; the others' machines just stop
WORKLOAD = Path(__file__).with_name("workload.yaml")


def boot(lab: Lab) -> None:
    """Every machine runs systemd on pure cgroup v2, and reaches the first."""
    for each in lab.machines:
        each.make(anew=not lab.resumes)
        each.start()

    def wait(each: Machine) -> None:
        began = time.monotonic()
        each.wait()
        say(f"  {each.name} is up ({time.monotonic() - began:.0f} s)")

    at_once(lab.machines, wait)
    for each in lab.machines:
        each.run("test -d /run/systemd/system && test -e /sys/fs/cgroup/cgroup.controllers")
        each.run(f"ping -c 1 -W 20 {lab.asked.address}")


def provision(lab: Lab) -> None:
    """scripts/provision makes each machine a node; with --page, the commands of docs/many-nodes.md do."""
    if lab.by_page:
        page.follow(lab)
        give_work(lab)
        return
    _provision(lab, lab.servers[0])
    for each in lab.servers[1:]:
        _provision(lab, each)  # etcd takes one new member at a time
    at_once(lab.workers, lambda each: _provision(lab, each))
    give_work(lab)


def give_work(lab: Lab) -> None:
    """Bring the Pods' image to every machine, and make the objects that the scenarios ask."""
    at_once(lab.machines, lambda each: each.run(".venv/bin/nanokube image import /opt/demo.tar"))
    say("  every machine has the Pods' image")
    text = WORKLOAD.read_text().replace("LAST_WORKER", lab.workers[-1].name)
    text = text.replace("FIRST_WORKER", lab.workers[0].name)
    lab.asked.run(f"cat >/opt/workload.yaml <<'END'\n{text}\nEND")
    lab.kubectl("apply", "-f", "/opt/workload.yaml")


def _provision(lab: Lab, each: Machine) -> str:
    began = time.monotonic()
    arguments = [each.role, "--address", each.address]
    if each is not lab.servers[0]:
        arguments += ["--server", lab.servers[0].address]
    elif len(lab.servers) > 1:
        arguments += ["--etcd"]
    if each is lab.workers[0]:
        arguments += ["--shutdown-grace", str(GRACE_S)]
    secret = f"NANOKUBE_TOKEN={lab.token} NANOKUBE_CERTIFICATE_KEY={lab.key}"
    command = f"{secret} scripts/provision {shlex.join(arguments)}"

    def heard(line: str) -> None:
        if line:
            say(f"  {each.name}: {line}")

    code, said = each.attempt(command, PROVISION_S, heard)
    if code:  # without the command: it has the token
        last = "; ".join(said.strip().splitlines()[-2:])
        raise LabError(f"{each.name}: scripts/provision ended with {code}: {last}")
    say(f"  {each.name} is provisioned ({time.monotonic() - began:.0f} s)")
    return said


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


# What a second provisioning must leave as it is: settings, credentials, processes, the link, Pods' processes.
STATE = (
    "find /etc/nanokube -type f | sort | xargs sha256sum; cat /run/nanokube/node.pid /run/nanokube/cri.pid;"
    " readlink /usr/local/bin/nanokube; systemctl show nanokube -p InvocationID;"
    " pgrep -x httpd"
)


def again(lab: Lab) -> None:
    """scripts/provision changes nothing where it is run a second time."""

    def check(each: Machine) -> None:
        before = each.run(STATE)
        _provision(lab, each)
        if (after := each.run(STATE)) != before:
            changed = set(before.splitlines()) ^ set(after.splitlines())
            raise LabError(f"{each.name} is not as it was: {sorted(changed)}")

    at_once(lab.machines, check)


def worker_killed(lab: Lab) -> None:
    """A worker is switched off: its Pods are Ready elsewhere; switched on, it takes Pods again."""
    victim = lab.workers[-1]
    until("two Pods that can move", lambda: len(lab.pods("moves")) == 2)
    before = [pod["spec"]["nodeName"] for pod in lab.pods("moves")]
    if victim.name not in before:
        raise LabError(f"no Pod to move from {victim.name}: they are on {before}")
    victim.kill()
    try:
        _moved(lab, victim)
    finally:
        victim.start()  # those that follow need it
    victim.wait()
    settled(lab)


def _moved(lab: Lab, victim: Machine) -> None:
    began = time.monotonic()
    until(f"{victim.name} is not Ready", lambda: victim.name not in lab.ready_nodes())
    say(f"  {victim.name} is not Ready {time.monotonic() - began:.0f} s after its death")

    def elsewhere() -> bool:
        found = [pod["spec"]["nodeName"] for pod in lab.pods("moves")]
        return len(found) == 2 and victim.name not in found

    until("its Pods are Ready elsewhere", elsewhere)
    say(f"  its Pods are Ready elsewhere after {time.monotonic() - began:.0f} s")


def server_killed(lab: Lab) -> None:
    """The first server is switched off: the others take writes; switched on, it serves again."""
    victim, lab.asked = lab.servers[0], lab.servers[1]
    victim.kill()
    began = time.monotonic()
    try:
        until("a write", lambda: bool(lab.kubectl("create", "configmap", "after", "-n", "lab", "-o", "name")))
        say(f"  a write was taken {time.monotonic() - began:.0f} s after {victim.name}'s death")
    finally:
        victim.start()
    victim.wait()
    lab.asked = victim
    until("it serves", lambda: bool(lab.kubectl("get", "configmap", "after", "-n", "lab")))
    settled(lab)


def graceful(lab: Lab) -> None:
    """A worker with --shutdown-grace reboots: its Pods end first, and say why."""
    worker = lab.workers[0]
    until("a Pod that takes its time", lambda: lab.get("pod", "slow")["status"]["phase"] == "Running")
    boot_id = worker.run(BOOT_ID)
    worker.run("systemd-run --on-active=2 --timer-property=AccuracySec=100ms systemctl reboot")
    began = time.monotonic()
    # The reason may be there before the end.
    until("it has ended", lambda: lab.get("pod", "slow")["status"]["phase"] == "Failed")
    status = lab.get("pod", "slow")["status"]
    ended = status["containerStatuses"][0]["state"].get("terminated", {})
    if status.get("reason") != "Terminated" or ended.get("exitCode") != SLOW_EXIT:
        raise LabError(f"it was not left to end: {status.get('reason')}, {ended}")
    say(f"  its Pod ended by itself, {time.monotonic() - began:.0f} s after the order to reboot")
    until(f"{worker.name} is up", lambda: worker.run(BOOT_ID, 30) != boot_id, machine.BOOT_S)
    say(f"  {worker.name} is up again after {time.monotonic() - began:.0f} s")
    settled(lab)


BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
SLOW_EXIT = 7  # of the Pod in workload.yaml, when it was given time to end


def reboot(lab: Lab) -> None:
    """Every machine reboots at once: everything answers again."""
    boots = {each.name: each.run(BOOT_ID) for each in lab.machines}
    for each in lab.machines:
        each.run("systemd-run --on-active=2 --timer-property=AccuracySec=100ms systemctl reboot")

    def is_anew(each: Machine) -> bool:
        return each.run(BOOT_ID, 30) != boots[each.name]

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
    "again": again,
    "worker-killed": worker_killed,
    "server-killed": server_killed,
    "graceful": graceful,
    "reboot": reboot,
}
FIRST = ("boot", "provision")
