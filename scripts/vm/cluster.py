"""The cluster on a lab's machines, as scenarios see it: what kubectl tells of it, and waiting for that."""

import concurrent.futures
import dataclasses
import json
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.vm.machine import LabError, Machine

SETTLE_S = 400.0  # emulated machines on a busy host take minutes for what takes others seconds
SILENT_S = 2.0
TELL_S = 30.0


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"vm-lab: {text}", flush=True)


@dataclasses.dataclass(slots=True)
class Lab:
    """The machines, and by which of them kubectl is run.

    resumes: they have disks of an earlier lab; by_page: the page for real hosts makes them nodes.
    """

    machines: Sequence[Machine]
    asked: Machine
    resumes: bool = False
    by_page: bool = False
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

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Get an object of the lab's namespace. Raises LabError."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", "lab", "-o", "json"))
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
    """Wait until ask is true, and tell what is waited for. Raises LabError."""
    began = time.monotonic()
    cause, tell_at = "", began + SILENT_S
    while (now := time.monotonic()) < began + timeout_s:
        if now >= tell_at:
            say(f"  waiting for: {what} ({now - began:.0f} s){_shortened(cause)}")
            tell_at = now + TELL_S
        try:
            if ask():
                return
            cause = ""
        except LabError as err:
            cause = f": {err}"
        time.sleep(2)
    raise LabError(f"not within {timeout_s:.0f} s: {what}{cause}")


def _shortened(cause: str) -> str:
    """Return the last line of an error. Pure.

    >>> _shortened(": server-1: kubectl get nodes: ended with 1: {\\n}\\nno answer")
    ': no answer'
    """
    return f": {cause.strip().splitlines()[-1].removeprefix(': ')[:160]}" if cause else ""


def at_once(machines: Sequence[Machine], work: Callable[[Machine], object]) -> None:
    """Do work with several machines at a time. Raises the first LabError."""
    pool = concurrent.futures.ThreadPoolExecutor(max(len(machines), 1))
    try:
        for done in [pool.submit(work, each) for each in machines]:
            done.result()
    finally:
        pool.shutdown(wait=False)  # an interrupted lab switches the machines off, which ends what they do
