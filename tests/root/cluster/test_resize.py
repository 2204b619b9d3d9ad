"""Pods resized in place, in real cgroups: containers and the Pod as a whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

# by controller: the file of v1, the file of v2
MEMORY = ("memory.limit_in_bytes", "memory.max")
QUOTA = ("cpu.cfs_quota_us", "cpu.max")


def container(name: str, cpu: str, memory: str) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory}
    return {
        "name": name,
        "image": demo_image.REFERENCE,
        "command": ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"],
        "resources": {"requests": amounts, "limits": amounts},
    }


def limits(cluster: host.Host, uid: str, names: tuple[str, str]) -> list[int]:
    """Read a limit of the Pod's cgroup, then those of the cgroups below, in ascending order."""
    found: dict[Path, int] = {}
    for top in (*Path("/sys/fs/cgroup").glob(f"*/{cluster.cgroup_root}"), Path("/sys/fs/cgroup")):
        for name in names:
            for path in top.glob(f"pods/*/pod{uid}/{name}") if top.name == cluster.cgroup_root else ():
                found[path] = int(path.read_text().split()[0])
                below = sorted(int(each.read_text().split()[0]) for each in path.parent.glob(f"*/{name}"))
                return [found[path], *below]
    return []


def test_containers_and_their_pod_are_resized_without_a_restart(cluster: host.Host, apply: Any) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "resized"},
        "spec": {"containers": [container("a", "100m", "64Mi"), container("b", "200m", "96Mi")]},
    }
    apply(pod)
    host.wait_for(lambda: cluster.get("pod", "resized")["status"].get("phase") == "Running")
    uid = cluster.get("pod", "resized")["metadata"]["uid"]
    mib = 1 << 20
    assert limits(cluster, uid, MEMORY)[:1] == [160 * mib]
    assert {64 * mib, 96 * mib} <= set(limits(cluster, uid, MEMORY)[1:])
    wanted = {"spec": {"containers": [container("a", "300m", "128Mi"), container("b", "150m", "80Mi")]}}
    cluster.kubectl("patch", "pod", "resized", "--subresource", "resize", "-p", json.dumps(wanted))

    def is_resized() -> bool:
        memory, quota = limits(cluster, uid, MEMORY), limits(cluster, uid, QUOTA)
        return (
            memory[0] == 208 * mib
            and {128 * mib, 80 * mib} <= set(memory[1:])
            and quota[0] == 45000
            and {30000, 15000} <= set(quota[1:])
        )

    host.wait_for(is_resized, what="limits in cgroups")

    def shown() -> Any:
        status = cluster.get("pod", "resized")["status"]
        types = [condition["type"] for condition in status["conditions"]]
        assert "PodResizeInProgress" not in types
        assert "PodResizePending" not in types
        return status["containerStatuses"]

    statuses = host.wait_for(shown)
    assert [each["restartCount"] for each in statuses] == [0, 0]
    assert statuses[0]["allocatedResources"] == {"cpu": "300m", "memory": "128Mi"}
    assert statuses[0]["resources"]["limits"] == {"cpu": "300m", "memory": "128Mi"}
