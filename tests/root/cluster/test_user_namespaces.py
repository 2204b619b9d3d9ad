"""Pods with `hostUsers: false`: root inside is nobody on the host, volumes look as they should."""

import json
from typing import Any

import pytest

from tests.root.cluster import host
from tests.root.cluster.test_streams import pod, wait_for, wait_ready

pytestmark = pytest.mark.root

SCRIPT = "trap 'exit 0' TERM; echo mine > /scratch/mine; while :; do sleep 0.2; done"


def user_pod(name: str) -> dict[str, Any]:
    made = pod(name, SCRIPT)
    made["spec"]["hostUsers"] = False
    made["spec"]["volumes"] = [
        {"name": "scratch", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "settings"}},
    ]
    made["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "settings", "mountPath": "/settings"},
    ]
    return made


SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"a": "1"},
}


def range_of(cluster: host.Host, name: str) -> int:
    """Return the first id of the host that a Pod's root is."""
    line = cluster.kubectl("exec", name, "--", "cat", "/proc/self/uid_map").split()
    assert (line[0], line[2]) == ("0", "65536")
    return int(line[1])


def test_root_inside_is_nobody_outside(cluster: host.Host, apply: Any) -> None:
    apply(SETTINGS, user_pod("first"), user_pod("second"))
    for name in ("first", "second"):
        wait_ready(cluster, name)
    first, second = range_of(cluster, "first"), range_of(cluster, "second")
    assert first != second
    assert min(first, second) >= 65536
    assert cluster.kubectl("exec", "first", "--", "id", "-u") == "0\n"
    owners = cluster.kubectl(
        "exec", "first", "--", "stat", "-c", "%u", "/scratch/mine", "/settings/a", "/etc/hosts", "/bin/sh"
    )
    assert owners.split() == ["0"] * 4
    uid = cluster.kubectl("get", "pod", "first", "-o", "jsonpath={.metadata.uid}")
    volume = f"/var/lib/nanokube/kubelet/pods/{uid}/volumes"
    found = cluster.run("find", volume, "-name", "mine", "-printf", "%U").stdout
    assert found == "0"  # idmapped: on disk a volume belongs to whom the Pod says, whatever its range
    processes = cluster.run("sh", "-c", f"cat /proc/[0-9]*/status | grep -c 'Uid:.*{first}' || true").stdout
    assert int(processes) >= 1


def test_the_range_outlives_the_agent(cluster: host.Host, apply: Any) -> None:
    apply(SETTINGS, user_pod("keeper"))
    wait_ready(cluster, "keeper")
    before = range_of(cluster, "keeper")
    cluster.run("kill", "-9", str(cluster.pid_of("agent")))
    restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
    end = (host.kubectl(), "exec", "keeper", "--", "kill", "-TERM", "1")
    wait_for(lambda: cluster.run(*end, check=False).returncode == 0)  # once the new agent listens
    wait_for(lambda: cluster.kubectl("get", "pod", "keeper", "-o", restarts) == "1", 30)
    wait_ready(cluster, "keeper")
    assert range_of(cluster, "keeper") == before


def test_a_termination_message_is_written_from_inside(cluster: host.Host, apply: Any) -> None:
    last = pod("last", "echo 'last words' > /dev/termination-log")
    last["spec"] |= {"hostUsers": False, "restartPolicy": "Never"}
    apply(last)
    message = "jsonpath={.status.containerStatuses[0].state.terminated.message}"
    wait_for(lambda: cluster.kubectl("get", "pod", "last", "-o", message) == "last words\n", 30)


def test_the_node_says_what_its_runtime_can(cluster: host.Host) -> None:
    features = "jsonpath={.items[0].status.runtimeHandlers[0].features.userNamespaces}"
    assert cluster.kubectl("get", "nodes", "-o", features) == "true"


def test_the_nodes_other_namespaces_are_excluded(cluster: host.Host) -> None:
    bad = pod("bad", "true")
    bad["spec"] |= {"hostUsers": False, "hostNetwork": True}
    done = cluster.run(host.kubectl(), "apply", "-f", "-", stdin=json.dumps(bad), check=False)
    assert done.returncode != 0
    assert "when `hostUsers` is false" in done.stderr
