"""Pods, Services and balanced addresses across nodes: two on one link, a third behind a router."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import conftest, host, test_join, test_reset

pytestmark = pytest.mark.root

SERVER, NEAR, FAR = "192.0.2.10", "192.0.2.11", "198.51.100.12"
ADDRESSES = {"server": SERVER, "near": NEAR, "far": FAR}
POOL = "192.0.2.200-192.0.2.203"
# Answers with the Pod's name and who asked.
WHO = """
mkdir -p /w/cgi-bin
echo "$POD_NAME" > /w/index.html
cat > /w/cgi-bin/who <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\\n\\n%s %s' "$POD_NAME" "$REMOTE_ADDR"
END
chmod +x /w/cgi-bin/who
httpd -f -p "$PORT" -h /w &
trap 'kill $!' TERM INT
wait $!
"""

Hosts = Mapping[str, host.Host]


@pytest.fixture(scope="module")
def lan() -> Iterator[host.Lan]:
    """Two links and the router between them; a client of no cluster on the first."""
    with host.lan() as made:
        made.run(
            "sh",
            "-ec",
            "ip addr add 192.0.2.1/24 dev lan; ip link add remote type bridge; ip link set remote up;"
            " ip addr add 198.51.100.1/24 dev remote; echo 1 > /proc/sys/net/ipv4/ip_forward",
        )
        yield made


@pytest.fixture(scope="module")
def nodes(lan: host.Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A server, a worker beside it, a worker behind the router; one Pod on each, and one in its namespace."""
    with contextlib.ExitStack() as stack:
        made = {
            name: stack.enter_context(host.new(tmp_path_factory.mktemp(name), name, address, lan))
            for name, address in (("server", SERVER), ("near", NEAR), ("far", "192.0.2.12"))
        }
        lan.ip("link", "set", "far", "master", "remote")
        made["far"].run(
            "sh",
            "-ec",
            f"ip addr flush dev eth0; ip addr add {FAR}/24 dev eth0; ip route add default via 198.51.100.1",
        )
        made["server"].up("--load-balancer-pool", POOL)
        for each in made.values():
            if each is not made["server"]:
                each.run("nft", "list", "tables")
                test_join.join(each, test_join.line(made["server"]))
            conftest.import_demo_image(each)
        pods = [
            pod(f"{prefix}-{name}", name, prefix == "host") for name in made for prefix in ("pod", "host")
        ]
        apply(made["server"], *pods)
        made["server"].kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield made
        for each in made.values():
            print(each.name, each.run("sh", "-c", DUMP, check=False).stdout)


DUMP = (
    "tail -n 60 /var/log/nanokube/agent.log; ip route; nft list ruleset | grep -v chain.*spread | tail -n 200"
)


def pod(name: str, node: str, is_host_network: bool = False) -> dict[str, Any]:
    port = 8081 if is_host_network else 8080
    container = {
        "name": "main",
        "image": demo_image.REFERENCE,
        "command": ["sh", "-c", WHO],
        "env": [{"name": "POD_NAME", "value": name}, {"name": "PORT", "value": str(port)}],
        "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "host" if is_host_network else "who"}},
        "spec": {
            "nodeName": node,
            "hostNetwork": is_host_network,
            "containers": [container],
            "terminationGracePeriodSeconds": 1,
        },
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "who"}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }


def apply(server: host.Host, *objects: dict[str, Any]) -> None:
    server.kubectl("apply", "-f", "-", stdin="".join(json.dumps(each) for each in objects))


def ip_of(nodes: Hosts, name: str) -> str:
    return str(nodes["server"].get("pod", name)["status"]["podIP"])


def ask(from_pod: str, nodes: Hosts, where: str) -> tuple[str, str]:
    """Ask from a Pod; returns which Pod answered and from which address it was asked."""
    command = ["timeout", "3", "wget", "-qO-", f"http://{where}/cgi-bin/who"]
    return parsed(nodes["server"].kubectl("exec", from_pod, "--", *command))


def ask_from_host(on: host.Host, where: str) -> tuple[str, str]:
    return parsed(on.run("curl", "-sS", "-m", "3", f"http://{where}/cgi-bin/who").stdout)


def parsed(answer: str) -> tuple[str, str]:
    answerer, _, asker = answer.partition(" ")
    return answerer, asker.strip("[]").removeprefix("::ffff:")


def test_pods_reach_pods_of_all_nodes_under_their_own_address(nodes: Hosts) -> None:
    for source in nodes:
        own = ip_of(nodes, f"pod-{source}")
        for target in nodes:
            where = f"{ip_of(nodes, f'pod-{target}')}:8080"
            assert ask(f"pod-{source}", nodes, where) == (f"pod-{target}", own)


def test_hosts_and_their_pods_reach_each_other(nodes: Hosts) -> None:
    for source in nodes:
        for target in nodes:
            where = f"{ip_of(nodes, f'pod-{target}')}:8080"
            assert ask(f"host-{source}", nodes, where)[0] == f"pod-{target}"
            assert ask_from_host(nodes[source], where)[0] == f"pod-{target}"
            assert ask(f"pod-{source}", nodes, f"{ADDRESSES[target]}:8081")[0] == f"host-{target}"
        nodes["server"].kubectl("logs", f"pod-{source}")


def test_neighbours_are_routed_and_others_tunnelled(nodes: Hosts) -> None:
    assert "via 192.0.2.11 dev eth0" in nodes["server"].run("ip", "route", "show", "10.244.1.0/24").stdout
    assert "dev nk-vxlan" in nodes["server"].run("ip", "route", "show", "10.244.2.0/24").stdout
    assert nodes["far"].run("ip", "route", "show", "proto", "107").stdout.count("nk-vxlan") == 2


def test_large_answers_pass(nodes: Hosts) -> None:
    """The overlay's packets are smaller than the Pods' links allow."""
    nodes["server"].kubectl(
        "exec", "pod-far", "--", "sh", "-c", "dd if=/dev/zero of=/w/large bs=1024 count=2048 2>/dev/null"
    )
    for source in ("server", "near", "far"):
        url = f"http://{ip_of(nodes, 'pod-far')}:8080/large"
        counted = nodes["server"].kubectl(
            "exec", f"pod-{source}", "--", "sh", "-c", f"timeout 9 wget -qO- {url} | wc -c"
        )
        assert counted.strip() == str(2048 * 1024)


def test_services_lead_to_all_nodes_from_all_nodes(nodes: Hosts) -> None:
    server = nodes["server"]
    apply(server, service("all"), service("near-only", internalTrafficPolicy="Local"))
    ip = server.get("service", "all")["spec"]["clusterIP"]
    local = server.get("service", "near-only")["spec"]["clusterIP"]
    for source, on in nodes.items():
        host.wait_for(lambda on=on: ask_from_host(on, ip)[0], what="the Service")
        assert {ask_from_host(on, ip)[0] for _ in range(30)} == {"pod-server", "pod-near", "pod-far"}
        own = ip_of(nodes, f"pod-{source}")
        found = {ask(f"pod-{source}", nodes, ip) for _ in range(12)}
        assert len({name for name, _asker in found}) > 1
        askers = {asker for name, asker in found if name != f"pod-{source}"}  # itself it meets masqueraded
        assert askers == {own}, "no address is translated between Pods"
        assert {ask(f"pod-{source}", nodes, local)[0] for _ in range(4)} == {f"pod-{source}"}
    server.kubectl("delete", "service", "all", "near-only")


def test_node_ports_are_open_on_every_node(nodes: Hosts, lan: host.Lan) -> None:
    server = nodes["server"]
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
    local = [{"port": 80, "targetPort": 8080, "nodePort": 30081}]
    elsewhere = {"app": "who", "statefulset.kubernetes.io/pod-name": "none"}
    apply(
        server,
        service("cluster", type="NodePort", ports=ports),
        service("local", type="NodePort", externalTrafficPolicy="Local", ports=local),
        service("nobody", type="NodePort", selector=elsewhere, ports=[{"port": 80, "nodePort": 30082}]),
    )
    for name, address in ADDRESSES.items():
        host.wait_for(lambda at=address: outside(lan, f"{at}:30080")[0], what="the port")
        host.wait_for(lambda at=address: outside(lan, f"{at}:30081")[0], what="the port")
        assert {outside(lan, f"{address}:30080")[0] for _ in range(30)} == {f"pod-{each}" for each in nodes}
        gateway = "198.51.100.1" if name == "far" else "192.0.2.1"
        assert {outside(lan, f"{address}:30081") for _ in range(6)} == {(f"pod-{name}", gateway)}
        assert outside_fails(lan, f"{address}:30082") == 7, "refused, not timed out"
    inside = {ask("pod-server", nodes, f"{SERVER}:30081")[0] for _ in range(12)}
    assert len(inside) > 1, "the policy binds only those from outside"
    server.kubectl("delete", "service", "cluster", "local", "nobody")


def test_a_balanced_address_is_answered_on_the_link(nodes: Hosts, lan: host.Lan) -> None:
    server = nodes["server"]
    apply(
        server,
        service("cluster", type="LoadBalancer", allocateLoadBalancerNodePorts=False),
        service("local", type="LoadBalancer", externalTrafficPolicy="Local"),
        service("guarded", type="LoadBalancer", loadBalancerSourceRanges=["203.0.113.0/24"]),
        service("foreign", type="LoadBalancer", loadBalancerClass="example.com/other"),
    )
    given = {name: address_of(server, name) for name in ("cluster", "local", "guarded")}
    assert len(set(given.values())) == 3
    assert not server.get("service", "foreign")["status"]["loadBalancer"]
    host.wait_for(lambda: outside(lan, given["cluster"])[0], what="the address")
    assert {outside(lan, given["cluster"])[0] for _ in range(30)} == {f"pod-{each}" for each in nodes}
    host.wait_for(lambda: outside(lan, given["local"])[0], what="the address")
    assert {outside(lan, given["local"])[1] for _ in range(6)} == {"192.0.2.1"}, "the client is seen as it is"
    assert outside_fails(lan, given["guarded"]) == 28, "not of the ranges: silence"
    assert outside_fails(lan, f"{given['cluster']}:22") == 28, "the node itself is not behind the address"
    for source in nodes:
        assert ask(f"pod-{source}", nodes, given["local"])[0].startswith("pod-")
    health_is_told(nodes, lan)
    server.kubectl("delete", "service", "cluster", "local", "guarded", "foreign")
    host.wait_for(lambda: outside_fails(lan, given["cluster"]), what="the end of the address")


def test_an_external_address_leads_to_a_service_on_the_node_it_is_routed_to(
    nodes: Hosts, lan: host.Lan
) -> None:
    server, ip = nodes["server"], "203.0.113.7"
    apply(server, service("external", externalIPs=[ip]))
    for name in ("server", "near"):
        lan.run("ip", "route", "replace", f"{ip}/32", "via", ADDRESSES[name])
        host.wait_for(lambda: outside(lan, ip)[0], what="the address")
        assert {outside(lan, ip)[0] for _ in range(30)} == {f"pod-{each}" for each in nodes}
    for source in nodes:
        assert ask(f"pod-{source}", nodes, ip)[0].startswith("pod-")
        assert ask_from_host(nodes[source], ip)[0].startswith("pod-")
    assert outside_fails(lan, f"{ip}:22") != 0
    server.kubectl("delete", "service", "external")
    lan.run("ip", "route", "del", f"{ip}/32")


def test_a_balanced_address_is_taken_over_when_its_node_dies(nodes: Hosts, lan: host.Lan) -> None:
    """Each address of the pool is answered for on its link, by a node of it; then by another."""
    server = nodes["server"]
    names = [f"moving-{number}" for number in range(4)]
    apply(server, *[service(each, type="LoadBalancer") for each in names])
    given = {address_of(server, each) for each in names}
    assert len(given) == 4
    for ip in given:
        host.wait_for(lambda ip=ip: outside(lan, ip)[0], what=f"{ip}, of whichever node")
    before = {ip: announcer_of(nodes, ip) for ip in given}
    assert set(before.values()) == {"server", "near"}, "a node behind a router announces none of the link"
    agent = str(nodes["near"].pid_of("agent"))
    nodes["near"].run("kill", "-STOP", agent)
    said_of(server, "near", "Unknown")
    lan.ip("link", "set", "near", "down")
    try:
        for ip in given:
            # Of three endpoints one is lost until the Pod's Node is known to be.
            host.wait_for(lambda ip=ip: outside(lan, ip)[0], what=f"{ip}, of the other node")
    finally:
        lan.ip("link", "set", "near", "up")
        nodes["near"].run("kill", "-CONT", agent)
    said_of(server, "near", "True")
    host.wait_for(lambda: {ip: announcer_of(nodes, ip) for ip in given} == before, what="as before")
    for ip in given:
        host.wait_for(lambda ip=ip: outside(lan, ip)[0], what=f"{ip}, of the node that is back")
    server.kubectl("delete", "service", *names)


def said_of(server: host.Host, node: str, ready: str) -> None:
    """Write a Node's condition, as a controller does of one that is silent for 40 s, and its agent after."""
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": "Test",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = json.dumps({"status": {"conditions": [condition]}})
    server.kubectl("patch", "node", node, "--subresource=status", "--type=strategic", "-p", body)


def announcer_of(nodes: Hosts, ip: str) -> str:
    """Name who answers for an address on the link: both, while one hands over to the other."""
    answering = {
        name: nodes[name].run("ip", "neigh", "show", "proxy").stdout.split() for name in ("server", "near")
    }
    return "+".join([name for name, words in answering.items() if ip in words])


def health_is_told(nodes: Hosts, lan: host.Lan) -> None:
    server = nodes["server"]
    port = server.get("service", "local")["spec"]["healthCheckNodePort"]
    healthy = json.loads(said(lan, f"http://{NEAR}:{port}/healthz"))
    assert healthy["localEndpoints"] == 1
    assert healthy["service"] == {"namespace": "default", "name": "local"}
    server.kubectl("label", "pod", "pod-near", "app=other", "--overwrite")
    host.wait_for(lambda: '"localEndpoints":0' in said(lan, f"http://{NEAR}:{port}/healthz"), what="503")
    server.kubectl("label", "pod", "pod-near", "app=who", "--overwrite")


def address_of(server: host.Host, name: str) -> str:
    def given() -> Any:
        return server.get("service", name)["status"]["loadBalancer"].get("ingress")

    (point,) = host.wait_for(given, what="an address of the pool")
    assert point["ipMode"] == "VIP"
    return str(point["ip"])


def outside(lan: host.Lan, where: str) -> tuple[str, str]:
    """Ask from the router: a host of no cluster."""
    return parsed(said(lan, f"http://{where}/cgi-bin/who"))


def said(lan: host.Lan, url: str) -> str:
    return lan.output("curl", "-sS", "-m", "3", url)


def outside_fails(lan: host.Lan, where: str) -> int:
    """Return curl's exit code: 7 is refused, 28 timed out."""
    command = f"curl -sS -m 2 http://{where}/ >/dev/null 2>&1; echo $?"
    return int(lan.output("sh", "-c", command))


def test_a_node_that_left_is_forgotten_and_has_nothing_left(
    nodes: Hosts, lan: host.Lan, tmp_path: Path
) -> None:
    server = nodes["server"]
    with host.new(tmp_path, "guest", "192.0.2.13", lan) as guest:
        guest.run("nft", "list", "tables")
        before = test_reset.facts(guest)
        test_join.join(guest, test_join.line(server))
        host.wait_for(lambda: "via 192.0.2.13" in server.run("ip", "route").stdout, what="the route")
        assert "nk-vxlan" in guest.run("ip", "route").stdout
        guest.nanokube("reset", "--yes")
        after = test_reset.facts(guest)
        for name, lines in before.items():
            assert after[name] == lines, name
        host.wait_for(lambda: "via 192.0.2.13" not in server.run("ip", "route").stdout, what="its end")
