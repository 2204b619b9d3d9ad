"""A host goes down under a node: logind is played, all else is real. Restarts of the agent end no Pod."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from nanokube.kubelet.node import logind
from nanokube.lab import control, place
from tests.root.cluster import host
from tests.root.lab import conftest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="no dbus-daemon to play logind on"),
]

ROOT = Path(__file__).parents[3]
BUS = "/run/dbus/system_bus_socket"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "stubborn"},
    "spec": {
        "terminationGracePeriodSeconds": 3,
        "containers": [
            # As PID 1 it does not heed SIGTERM: it ends when its grace period does.
            {"name": "app", "image": "localhost/nanokube/demo:1", "command": ["sleep", "100000"]}
        ],
    },
}


@contextlib.contextmanager
def played(lab: place.Lab) -> Iterator[subprocess.Popen[str]]:
    """Play logind in the lab's node."""
    control.run(lab, "s1", ["mkdir", "-p", "/run/dbus"])
    command = [sys.executable, "-m", "tests.root.kubelet.played_logind", BUS, str(logind.OVERRIDE)]
    enter = [*control.enter(lab, "s1"), "env", "-C", str(ROOT), f"PYTHONPATH={ROOT}"]
    with subprocess.Popen([*enter, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            said(process, "ready")
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def tell(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to the program itself; what was started is nsenter."""
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), number)


def get(lab: place.Lab, *what: str) -> dict[str, Any]:
    found = control.run(lab, "s1", [host.kubectl(), "get", *what, "-o", "json"]).stdout
    return json.loads(found)  # type: ignore[no-any-return]


def is_ready(lab: place.Lab) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in get(lab, "node", "s1")["status"]["conditions"]
    )


def test_pods_end_before_the_host_and_at_no_restart(tmp_path: Path) -> None:
    image = tmp_path / "demo.tar"
    demo_image.build(image)
    with conftest.lab(tmp_path / "labs", servers=1, workers=0, bare=True) as lab, played(lab) as process:
        node = lab.node("s1")
        own = ("--node-name", "s1", "--node-ip", node.address, "--cgroup-root", lab.cgroup_root("s1"))
        control.nanokube(lab, "s1", "up", *own, "--shutdown-grace", "20", "--shutdown-grace-critical", "5")
        said(process, "taken")
        assert "=20\n" in control.run(lab, "s1", ["cat", str(logind.OVERRIDE)]).stdout
        control.nanokube(lab, "s1", "image", "import", str(image))
        control.run(lab, "s1", [host.kubectl(), "apply", "-f", "-"], stdin=json.dumps(POD))
        host.wait_for(lambda: get(lab, "pod", "stubborn")["status"].get("phase") == "Running", 20, "Pod")
        before = get(lab, "pod", "stubborn")["status"]["containerStatuses"]

        control.run(lab, "s1", ["sh", "-c", "kill $(cat /run/nanokube/agent.pid)"])
        said(process, "released")
        said(process, "taken")
        assert get(lab, "pod", "stubborn")["status"]["containerStatuses"] == before

        began = time.monotonic()
        tell(process, signal.SIGUSR1)
        said(process, "released")
        assert 2.5 < time.monotonic() - began < 15, "as long as the Pod, not as long as the lock"
        status = get(lab, "pod", "stubborn")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
        assert not is_ready(lab)

        tell(process, signal.SIGUSR2)
        said(process, "taken")
        host.wait_for(lambda: is_ready(lab), what="Node is Ready again")
        control.nanokube(lab, "s1", "reset", "--yes")
        assert control.run(lab, "s1", ["test", "-e", str(logind.OVERRIDE)], check=False).returncode == 1
