"""Components die, Pods do not: kill -9 of each, one after the other and all at once, while a Pod serves."""

import json
from typing import Any

import pytest

from tests.root.cluster import host, test_kubectl

pytestmark = pytest.mark.root

COMPONENTS = ("apiserver", "manager", "agent", "cri")


@pytest.fixture(scope="module")
def serving(cluster: host.Host) -> Any:
    """A Pod that serves, and the process in it."""
    text = json.dumps(test_kubectl.deployment("steady", replicas=1)) + json.dumps(
        test_kubectl.service("steady")
    )
    cluster.kubectl("apply", "-f", "-", stdin=text)
    cluster.kubectl("rollout", "status", "deployment/steady", "--timeout=50s")
    yield cluster.get("service", "steady")["spec"]["clusterIP"]
    cluster.kubectl("delete", "-f", "-", stdin=text)


def process_in_pod(cluster: host.Host) -> str:
    """Return the host's pid of the Pod's first process, found by its cgroup."""
    uid = cluster.get("pods", "-l", "app=steady")["items"][0]["metadata"]["uid"]
    found = cluster.run("sh", "-c", f"grep -l {uid} /proc/[0-9]*/cgroup | head -n 1").stdout
    assert found, "no process in the Pod's cgroup"
    return found.strip()


def kill(cluster: host.Host, *components: str) -> None:
    pids = [str(pid) for name in components for pid in _pids(cluster, name)]
    cluster.run("kill", "-9", *pids, check=False)  # those below the keeper may have died with it


def _pids(cluster: host.Host, component: str) -> list[int]:
    if component != "cri":
        return [cluster.pid_of(component)]
    keeper = cluster.pid_of("cri")
    children = cluster.run("cat", f"/proc/{keeper}/task/{keeper}/children").stdout.split()
    return [keeper, *(int(each) for each in children)]


def fetch(cluster: host.Host, address: str) -> bool:
    done = cluster.run("timeout", "2", "busybox", "wget", "-q", "-O", "-", f"http://{address}/", check=False)
    return done.stdout.startswith("steady-")


def is_well(cluster: host.Host) -> bool:
    nodes = cluster.kubectl("get", "nodes", "--no-headers").split()
    ready = cluster.get("deployment", "steady")["status"].get("readyReplicas")
    return nodes[1] == "Ready" and ready == 1 and all(_is_new(cluster, name) for name in COMPONENTS)


def _is_new(cluster: host.Host, component: str) -> bool:
    pid = cluster.pid_of(component)
    return cluster.run("test", "-d", f"/proc/{pid}", check=False).returncode == 0


@pytest.mark.parametrize("victims", [*[(each,) for each in COMPONENTS], COMPONENTS], ids="+".join)
def test_a_killed_component_comes_back_and_pods_go_on(
    cluster: host.Host, serving: str, victims: tuple[str, ...]
) -> None:
    before = process_in_pod(cluster)
    uid = cluster.get("pods", "-l", "app=steady")["items"][0]["metadata"]["uid"]
    cluster.kubectl("create", "configmap", f"kept-{len(victims)}-{victims[0]}", "--from-literal=a=b")
    kill(cluster, *victims)
    assert fetch(cluster, serving), "traffic goes on while a component is away"
    host.wait_for(lambda: is_well(cluster), what="recovery")
    assert process_in_pod(cluster) == before
    assert cluster.get("pods", "-l", "app=steady")["items"][0]["metadata"]["uid"] == uid
    assert (
        cluster.get("pods", "-l", "app=steady")["items"][0]["status"]["containerStatuses"][0]["restartCount"]
        == 0
    )
    assert cluster.get("configmap", f"kept-{len(victims)}-{victims[0]}")["data"] == {"a": "b"}
    alive = ("exec", "deployment/steady", "--", "echo", "alive")
    host.wait_for(lambda: cluster.kubectl(*alive) == "alive\n", what="exec")
    fresh = test_kubectl.pod(f"after-{len(victims)}-{victims[0]}", "echo", "new")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(fresh))
    name = fresh["metadata"]["name"]
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=50s")
    cluster.kubectl("delete", "pod", name, "--wait=true")


def test_a_killed_keeper_leaves_one_reachable_runtime(cluster: host.Host) -> None:
    """The old server had a call under way, for whose end it must not wait: its successor takes the socket."""
    slow = test_kubectl.pod("slow-probe", "sleep", "600")
    slow["spec"]["containers"][0]["readinessProbe"] = {
        "exec": {"command": ["sleep", "300"]},  # longer than all that is waited for below
        "timeoutSeconds": 400,
        "periodSeconds": 1,
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(slow))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/slow-probe", "--timeout=50s")
    keeper = cluster.pid_of("cri")
    server = cluster.run("pgrep", "-P", str(keeper), "-f", "cri --serve").stdout.split()[0]
    host.wait_for(lambda: "sleep 300" in cluster.run("ps", "-eo", "args").stdout, what="the probe")
    cluster.run("kill", "-9", str(keeper))
    host.wait_for(lambda: cluster.pid_of("cri") != keeper and _is_new(cluster, "cri"), what="a new keeper")

    def is_gone() -> bool:
        return cluster.run("test", "-d", f"/proc/{server}", check=False).returncode == 1

    host.wait_for(is_gone, what="the end of the old server")

    def is_reachable() -> bool:
        cluster.run("test", "-S", "/run/nanokube/cri.sock")
        return "cri.sock" in cluster.run("ss", "-lx").stdout

    host.wait_for(is_reachable, what="the socket")
    cluster.kubectl("delete", "pod", "slow-probe", "--wait=true", "--timeout=50s")
