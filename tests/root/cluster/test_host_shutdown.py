"""The host goes down: containers end with the node, not 90 s later, and run anew after the next start.

What systemd says is played; scripts/vm-lab has the real one.
"""

import json
import time
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import conftest, host

pytestmark = pytest.mark.root

PODS = {
    "deaf": "trap '' TERM; while :; do sleep 1; done",
    "willing": "trap 'exit 0' TERM; while :; do sleep 0.1; done",
}
PLAYED = """
mkdir -p /run/systemd/system
printf '#!/bin/sh\\necho stopping\\n' >/run/systemctl
chmod +x /run/systemctl
mount --bind /run/systemctl /usr/bin/systemctl
"""
OVER = "umount /usr/bin/systemctl; rmdir /run/systemd/system"


def pod(name: str, command: str) -> dict[str, Any]:
    container = {"name": "main", "image": demo_image.REFERENCE, "command": ["sh", "-c", command]}
    spec = {"containers": [container], "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def are_running(on: host.Host, restarts: int) -> bool:
    statuses = [each["status"].get("containerStatuses", [{}])[0] for each in on.get("pods")["items"]]
    return len(statuses) == len(PODS) and all(
        "running" in each.get("state", {}) and each["restartCount"] == restarts for each in statuses
    )


def wait(on: host.Host, restarts: int) -> None:
    deadline = time.monotonic() + 60
    while not are_running(on, restarts):
        assert time.monotonic() < deadline, on.kubectl("get", "pods", "-o", "yaml")
        time.sleep(0.2)


def members(on: host.Host, uids: list[str]) -> str:
    found = "|".join(uids)
    return on.run("sh", "-c", f"grep -lE '{found}' /proc/[0-9]*/cgroup 2>/dev/null", check=False).stdout


def test_containers_end_with_the_host_and_run_anew(bare_host: host.Host) -> None:
    bare_host.up()
    conftest.import_demo_image(bare_host)
    objects = "".join(json.dumps(pod(name, command)) for name, command in PODS.items())
    bare_host.kubectl("apply", "-f", "-", stdin=objects)
    wait(bare_host, restarts=0)
    uids = [each["metadata"]["uid"] for each in bare_host.get("pods")["items"]]
    assert members(bare_host, uids)

    bare_host.run("sh", "-ec", PLAYED)
    began = time.monotonic()
    launcher = bare_host.pid_of("node")
    bare_host.run("kill", str(launcher))
    while bare_host.run("test", "-e", f"/proc/{launcher}/exe", check=False).returncode == 0:
        assert time.monotonic() < began + 40
        time.sleep(0.1)
    assert not members(bare_host, uids)

    bare_host.run("sh", "-c", OVER)
    bare_host.up()
    wait(bare_host, restarts=1)
