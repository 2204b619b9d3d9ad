"""The Pod network of IPv4 and IPv6 across nodes: two on one link, a third behind a router; then IPv6 alone.

What IPv4 does is in test_network_nodes.py; here all is asked by IPv6.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.root.cluster import conftest, host, test_join, test_network_nodes, test_reset
from tests.root.cluster.test_network_nodes import apply, ask_from_host, outside, pod, service

pytestmark = pytest.mark.root

V4 = {"server": "192.0.2.10", "near": "192.0.2.11", "far": "198.51.100.12"}
V6 = {"server": "2001:db8::10", "near": "2001:db8::11", "far": "2001:db8:1::12"}
ROUTER = "2001:db8::1"
POOL = "192.0.2.200-192.0.2.203,2001:db8::200-2001:db8::20f"
RANGES = {
    "dual": ("10.244.0.0/16,fd00:10:244::/56", "10.96.0.0/16,fd00:10:96::/112"),
    "ipv6": ("fd00:10:244::/56", "fd00:10:96::/112"),
}
ASK_ALL = "for at in {}; do timeout 3 wget -qO- http://$at/cgi-bin/who; echo; done"

Hosts = test_network_nodes.Hosts


@pytest.fixture(scope="module")
def lan() -> Iterator[host.Lan]:
    with host.lan() as made:
        made.run(
            "sh",
            "-ec",
            "echo 0 > /proc/sys/net/ipv6/conf/lan/disable_ipv6; ip link add remote type bridge;"
            " ip link set remote up; ip addr add 192.0.2.1/24 dev lan;"
            f" ip addr add {ROUTER}/64 dev lan nodad;"
            " ip addr add 198.51.100.1/24 dev remote; ip addr add 2001:db8:1::1/64 dev remote nodad;"
            " echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        )
        yield made


def addresses(family: str, name: str) -> str:
    return f"{V4[name]},{V6[name]}" if family == "dual" else V6[name]


@pytest.fixture(scope="module", params=["dual", "ipv6"])
def nodes(
    request: pytest.FixtureRequest, lan: host.Lan, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    """A server, a worker beside it, a worker behind the router; one Pod on each."""
    family = request.param
    first = {name: addresses(family, name) for name in V6} | {
        "far": "192.0.2.12,2001:db8::12" if family == "dual" else "2001:db8::12"
    }
    with contextlib.ExitStack() as stack:
        made = {
            name: stack.enter_context(host.new(tmp_path_factory.mktemp(name), name, at, lan))
            for name, at in first.items()
        }
        lan.ip("link", "set", "far", "master", "remote")
        v4 = f"ip addr add {V4['far']}/24 dev eth0; ip route add default via 198.51.100.1;"
        made["far"].run(
            "sh",
            "-ec",
            f"ip addr flush dev eth0; {v4 if family == 'dual' else ''}"
            f" ip addr add {V6['far']}/64 dev eth0 nodad; ip -6 route replace default via 2001:db8:1::1",
        )
        pods, services = RANGES[family]
        ranges = ("--pod-cidr", pods, "--service-cidr", services, "--load-balancer-pool", POOL)
        made["server"].up(*ranges, "--node-ip", addresses(family, "server"))
        for name, each in made.items():
            if name != "server":
                join = test_join.line(made["server"])
                test_join.join(each, join, "--node-ip", addresses(family, name))
            conftest.import_demo_image(each)
        apply(made["server"], *[pod(f"pod-{name}", name) for name in made])
        made["server"].kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield made
        for each in made.values():
            dump = f"{test_network_nodes.DUMP}; ip -6 route; ip -6 neigh; bridge fdb show dev nk-vxlan"
            print(each.name, each.run("sh", "-c", dump, check=False).stdout)


def ipv6_of(nodes: Hosts, name: str) -> str:
    ips = [each["ip"] for each in nodes["server"].get("pod", name)["status"]["podIPs"]]
    return next(str(each) for each in ips if ":" in each)


def ask_all(nodes: Hosts, from_pod: str, *where: str) -> list[tuple[str, str]]:
    """Ask several from a Pod; returns which Pod answered each and from which address it was asked."""
    script = ASK_ALL.format(" ".join(where))
    lines = nodes["server"].kubectl("exec", from_pod, "--", "sh", "-c", script).splitlines()
    return [test_network_nodes.parsed(each) for each in lines if each]


def test_pods_reach_pods_of_all_nodes_under_their_own_address(nodes: Hosts) -> None:
    targets = {name: f"[{ipv6_of(nodes, f'pod-{name}')}]:8080" for name in nodes}
    for source in nodes:
        own = ipv6_of(nodes, f"pod-{source}")
        found = ask_all(nodes, f"pod-{source}", *targets.values())
        assert found == [(f"pod-{name}", own) for name in targets]
        for name, where in targets.items():
            assert ask_from_host(nodes[source], where)[0] == f"pod-{name}"


def test_neighbours_are_routed_and_others_tunnelled(nodes: Hosts) -> None:
    routes = nodes["server"].run("ip", "-6", "route", "show", "proto", "107").stdout
    assert f"fd00:10:244:1::/64 via {V6['near']} dev eth0" in routes
    assert "fd00:10:244:2::/64 via fd00:10:244:2:: dev nk-vxlan" in routes
    outer = nodes["server"].run("ip", "-d", "link", "show", "nk-vxlan").stdout
    own = nodes["server"].address.partition(",")[0]
    assert f"local {own} " in outer, "the primary family carries the tunnel"


def test_large_answers_pass(nodes: Hosts) -> None:
    nodes["server"].kubectl(
        "exec", "pod-far", "--", "sh", "-c", "dd if=/dev/zero of=/w/large bs=1024 count=2048 2>/dev/null"
    )
    url = f"http://[{ipv6_of(nodes, 'pod-far')}]:8080/large"
    script = f"timeout 9 wget -qO- {url} | wc -c"
    counted = nodes["server"].kubectl("exec", "pod-server", "--", "sh", "-c", script)
    assert counted.strip() == str(2048 * 1024)


def test_services_lead_to_all_nodes_from_all_nodes_and_from_outside(nodes: Hosts, lan: host.Lan) -> None:
    server = nodes["server"]
    ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
    own_only = {"externalTrafficPolicy": "Local", "ipFamilies": ["IPv6"]}
    apply(
        server,
        service("all", type="NodePort", ipFamilies=["IPv6"], ports=ports),
        service("balanced", type="LoadBalancer", **own_only),
    )
    ip = f"[{server.get('service', 'all')['spec']['clusterIP']}]"
    every = {f"pod-{name}" for name in nodes}
    for source, on in nodes.items():
        host.wait_for(lambda on=on: ask_from_host(on, ip)[0], what="the Service")
        assert {ask_from_host(on, ip)[0] for _ in range(30)} == every
        found = ask_all(nodes, f"pod-{source}", *[ip] * 12)
        askers = {asker for name, asker in found if name != f"pod-{source}"}
        assert askers == {ipv6_of(nodes, f"pod-{source}")}, "no address is translated between Pods"
        at = f"[{V6[source]}]:30080"
        host.wait_for(lambda at=at: outside(lan, at)[0], what="the port")
        assert {outside(lan, at)[0] for _ in range(30)} == every
    balanced = f"[{test_network_nodes.address_of(server, 'balanced')}]"
    host.wait_for(lambda: outside(lan, balanced)[0], what="the address")
    assert {outside(lan, balanced)[1] for _ in range(6)} == {ROUTER}, "the client is seen as it is"
    server.kubectl("delete", "service", "all", "balanced")
    host.wait_for(lambda: test_network_nodes.outside_fails(lan, balanced), what="the end of the address")


def test_a_node_that_left_has_nothing_left(nodes: Hosts, lan: host.Lan, tmp_path: Path) -> None:
    server = nodes["server"]
    is_dual = "," in server.address
    with host.new(tmp_path, "guest", "192.0.2.13,2001:db8::13" if is_dual else "2001:db8::13", lan) as guest:
        guest.run("nft", "list", "tables")
        before = test_reset.facts(guest)
        test_join.join(guest, test_join.line(server))
        host.wait_for(lambda: "via 2001:db8::13" in server.run("ip", "-6", "route").stdout, what="the route")
        assert "nk-vxlan" in guest.run("ip", "-6", "route").stdout
        guest.nanokube("reset", "--yes")
        after = test_reset.facts(guest)
        for name, lines in before.items():
            assert after[name] == lines, name
