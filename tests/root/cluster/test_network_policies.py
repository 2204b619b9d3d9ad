"""NetworkPolicies between Pods of two nodes, through Services, over a restart of the agent; gone at reset."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.root.cluster import conftest, host, test_join, test_network_nodes, test_reset

pytestmark = pytest.mark.root

WORKER = "192.0.2.11"
TABLE = ("nft", "list", "table", "inet", "nanokube-netpol")
Hosts = Mapping[str, host.Host]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A server and a worker; a client and a web server on each, and a Service of the web servers."""
    with (
        host.lan() as lan,
        host.new(tmp_path_factory.mktemp("server"), "server", on=lan) as server,
        host.new(tmp_path_factory.mktemp("worker"), "worker", WORKER, lan) as worker,
    ):
        server.up()
        test_join.join(worker, test_join.line(server))
        for each in (server, worker):
            conftest.import_demo_image(each)
        pods = [pod(f"{app}-{node}", node, app) for node in ("server", "worker") for app in ("web", "client")]
        service = test_network_nodes.service("web", type="NodePort", selector={"app": "web"})
        service["spec"]["ports"][0]["nodePort"] = 30080
        test_network_nodes.apply(server, *pods, service)
        server.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield {"server": server, "worker": worker}
        for each in (server, worker):
            print(each.name, each.run("sh", "-c", test_network_nodes.DUMP, check=False).stdout)


def pod(name: str, node: str, app: str) -> dict[str, Any]:
    made = test_network_nodes.pod(name, node)
    made["metadata"]["labels"] = {"app": app}
    return made


def policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, **spec},
    }


@pytest.fixture
def put(nodes: Hosts) -> Iterator[Callable[..., None]]:
    """Make or replace the policy for the web servers."""
    server = nodes["server"]
    yield lambda **spec: test_network_nodes.apply(server, policy(**spec))
    server.kubectl("delete", "networkpolicies", "--all")
    within(lambda: all(each.run(*TABLE, check=False).returncode != 0 for each in nodes.values()))


def within(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(nodes: Hosts, source: str, where: str) -> bool:
    """Tell whether a Pod, or a host, is answered."""
    command = ["timeout", "1", "wget", "-qO-", f"http://{where}/"]
    if source in nodes:
        return nodes[source].run(*command, check=False).returncode == 0
    said = nodes["server"].kubectl(
        "exec", source, "--", "sh", "-c", f"{' '.join(command)} >/dev/null 2>&1 && echo yes || echo no"
    )
    return said.strip() == "yes"


def web(nodes: Hosts, node: str) -> str:
    return f"{test_network_nodes.ip_of(nodes, f'web-{node}')}:8080"


def service(nodes: Hosts) -> str:
    return str(nodes["server"].get("service", "web")["spec"]["clusterIP"])


def test_peers_are_those_of_all_nodes(nodes: Hosts, put: Callable[..., None]) -> None:
    put(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 8080}]}])
    within(lambda: not answers(nodes, "web-server", web(nodes, "worker")))
    within(lambda: not answers(nodes, "web-worker", web(nodes, "server")))
    for node in nodes:
        for source in ("client-server", "client-worker"):
            host.wait_for(lambda by=source, at=node: answers(nodes, by, web(nodes, at)), what=source)
        host.wait_for(lambda at=node: answers(nodes, at, web(nodes, at)), what="a node reaches its own Pods")
    for source in ("client-server", "client-worker"):
        for _ in range(4):
            assert answers(nodes, source, service(nodes)), "Services are judged by the Pods behind them"


def test_nobody_reaches_whom_nobody_may_reach(nodes: Hosts, put: Callable[..., None]) -> None:
    put(policyTypes=["Ingress"])
    targets = [web(nodes, "server"), web(nodes, "worker"), service(nodes), f"{WORKER}:30080"]
    within(lambda: not any(answers(nodes, "client-worker", each) for each in targets))
    assert not any(answers(nodes, "client-server", each) for each in targets)
    ready = nodes["server"].get("pod", "web-worker")["status"]["conditions"]
    assert {"True"} == {each["status"] for each in ready if each["type"] == "Ready"}, "probes go on"


def test_a_new_pod_is_covered_from_its_first_packet(nodes: Hosts, put: Callable[..., None]) -> None:
    put(policyTypes=["Ingress", "Egress"])
    within(lambda: not answers(nodes, "client-server", web(nodes, "worker")))
    nodes["server"].kubectl("delete", "pod", "fresh", "--ignore-not-found", "--now")
    fresh = pod("fresh", "worker", "web")
    target = web(nodes, "server")
    ask = f"timeout 1 wget -qO- http://{target}/ && echo reached || echo refused"
    fresh["spec"]["containers"][0] |= {"command": ["sh", "-c", f"{ask}; sleep 100"], "readinessProbe": None}
    test_network_nodes.apply(nodes["server"], fresh)
    nodes["server"].kubectl("wait", "--for=condition=Ready", "pod", "fresh", "--timeout=50s")
    within(lambda: "re" in nodes["server"].kubectl("logs", "fresh"))
    assert nodes["server"].kubectl("logs", "fresh").splitlines()[-1] == "refused"
    nodes["server"].kubectl("delete", "pod", "fresh", "--now")


def test_rules_outlive_the_agent(nodes: Hosts, put: Callable[..., None]) -> None:
    put(policyTypes=["Ingress"])
    within(lambda: not answers(nodes, "client-server", web(nodes, "worker")))
    worker = nodes["worker"]
    worker.run("kill", "-9", str(worker.pid_of("agent")))
    assert not answers(nodes, "client-server", web(nodes, "worker"))
    within(lambda: "in force" in worker.run("tail", "-n", "30", "/var/log/nanokube/agent.log").stdout)
    assert not answers(nodes, "client-server", web(nodes, "worker"))


def test_nothing_is_left(tmp_path: Path) -> None:
    with host.new(tmp_path, "policies") as alone:
        alone.run("nft", "list", "tables")
        before = test_reset.facts(alone)
        alone.up()
        conftest.import_demo_image(alone)
        test_network_nodes.apply(alone, pod("web", "policies", "web"), policy())
        alone.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=50s")
        within(lambda: "jump" in alone.run(*TABLE, check=False).stdout)
        alone.nanokube("reset", "--yes")
        assert test_reset.facts(alone) == before
