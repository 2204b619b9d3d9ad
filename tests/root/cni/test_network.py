"""The CNI plugins on a real kernel, in namespaces of their own (lab.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root

_LAB = Path(__file__).with_name("lab.py")
_SOURCE = Path(__file__).resolve().parents[3]


def _scenario(name: str, directory: Path, kind: str = "ptp") -> Any:
    command = ["unshare", "--net", "--mount", sys.executable, str(_LAB), name, str(directory), kind]
    env = {**os.environ, "PYTHONPATH": str(_SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


both_kinds = pytest.mark.parametrize("kind", ["ptp", "bridge"])


@both_kinds
def test_traffic_flows_with_and_without_br_netfilter(tmp_path: Path, kind: str) -> None:
    seen = _scenario("traffic", tmp_path, kind)
    for value in ("1", "0"):
        assert seen[value] == {
            "host": "10.244.0.1",
            "pod": "10.244.0.3",
            "loopback port": "10.244.0.1",
            "loopback port from another address": "192.0.2.10",
            "host address port": "10.244.0.1",
            "port from another pod": "10.244.0.3",
            # Masqueraded, as whichever of the host's addresses the link has, or comes first.
            "port from itself": {"ptp": "192.0.2.10", "bridge": "10.244.0.1"}[kind],
        }
    assert seen["after DEL"] == ""
    assert set(seen["route_localnet"]) == {"0"}
    own = seen["result"]["interfaces"].index(
        next(each for each in seen["result"]["interfaces"] if "sandbox" in each)
    )
    assert seen["result"]["ips"] == [{"address": "10.244.0.2/32", "gateway": "10.244.0.1", "interface": own}]


@both_kinds
def test_a_lying_pod_is_not_heard(tmp_path: Path, kind: str) -> None:
    assert _scenario("spoofing", tmp_path, kind) == {
        "honest": "10.244.0.3",
        "past the host": "",
        "another's address": "",
        "another's MAC and address": "",
        "the victim": "10.244.0.2",
    }


@both_kinds
def test_upkeep_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    seen = _scenario("upkeep", tmp_path, kind)
    assert seen["guard after flush"]
    assert seen["masquerade after flush"]
    assert (seen["elements after flush"], seen["elements after GC"]) == ((0, 0) if kind == "ptp" else (3, 1))
    assert "host port is taken, one of 12000/tcp" in seen["taken port"]
    assert seen["absent netns"] == 3
    assert seen["leases"] == []
    assert seen["records"] == []
    assert seen["forwarding"] == "1"
    assert seen["forwarding after reset"] == "0"
    assert not seen["rules left"]
    assert not seen["bridge left"]


def test_thousands_of_host_ports_come_and_go_at_once(tmp_path: Path) -> None:
    seen = _scenario("host_ports", tmp_path)
    assert seen["added"] == seen["after refusal"] == 3 * 4000  # ports, loopback, returning
    assert "host port is taken, one of 23999/tcp" in seen["taken"]
    assert seen["after DEL of another"] == 3 * 4000 - 4  # two were lost, one of them in all three
    assert seen["after DEL"] == 0
    assert seen["seconds"] < 10  # 0.3 on an idle machine


@both_kinds
def test_pods_attached_at_once_get_different_addresses(tmp_path: Path, kind: str) -> None:
    seen = _scenario("burst", tmp_path, kind)
    assert seen["addresses"] == 20
    assert seen["ms each"] < 100  # 2 ms on an idle machine


_IPV6 = {
    "host": "fd00:10:244::1",
    "pod": "fd00:10:244::3",
    "loopback port": "fd00:10:244::1",
    "loopback port from another address": "2001:db8::10",
    "host address port": "fd00:10:244::1",
    "port from another pod": "fd00:10:244::3",
    "port from itself": "fd00:10:244::1",
    "port from outside": "2001:db8:1::2",
    "leaving": "2001:db8:1::1",
    "past the host": "",
    "another's address": "",
    "elements after GC": 0,
    "neighbours after GC": False,
    "CHECK after GC": 101,
    "CHECK without its address": "fd00:10:244::2 is missing",
    "leases": [],
    "tables left": "",
    "forwarding left": "0",
}


@both_kinds
def test_pods_of_both_families_have_all_ways_by_ipv6_too(tmp_path: Path, kind: str) -> None:
    assert _scenario("dual", tmp_path, kind) == {
        **_IPV6,
        "ips": [["10.244.0.2", "fd00:10:244::2"], ["10.244.0.3", "fd00:10:244::3"]],
        "gateways": ["10.244.0.1", "fd00:10:244::1"],
        "IPv4": "10.244.0.3",
    }


@both_kinds
def test_pods_of_ipv6_alone(tmp_path: Path, kind: str) -> None:
    assert _scenario("ipv6", tmp_path, kind) == {
        **_IPV6,
        "ips": [["fd00:10:244::2"], ["fd00:10:244::3"]],
        "gateways": ["fd00:10:244::1"],
        "IPv4": "",
    }


def test_a_host_goes_on_to_hear_its_router(tmp_path: Path) -> None:
    assert _scenario("advertised", tmp_path) == {"while we run": "2", "after reset": "1"}


def test_a_node_may_have_pods_on_the_bridge_and_off_it(tmp_path: Path) -> None:
    seen = _scenario("mixed", tmp_path)
    for version, (net, gateway) in enumerate(
        (("10.244.0.", "10.244.0.1"), ("fd00:10:244::", "fd00:10:244::1"))
    ):
        assert seen[f"{version}"] == {
            "new to old": f"{net}3",
            "old to new": f"{net}2",
            "new to new": f"{net}4",
            "host to old": gateway,
            "host to new": gateway,
            "new to old's port": f"{net}3",
            "old to new's port": f"{net}2",
        }
    assert seen["leases"] == ["10.244.0.3", "10.244.0.4"]


def test_forged_packets_are_dropped_and_no_neighbour_is_learned(tmp_path: Path) -> None:
    assert _scenario("forged", tmp_path) == {
        "no address": True,
        "the gateway's": True,
        "loopback's": True,
        "a stranger's": True,
        "its own": False,
        "link-local": True,
        "advertisement": True,
        "unspecified": True,
        "its own of IPv6": False,
        "ARP is heard": False,
    }


def test_routes_come_and_go_with_their_link(tmp_path: Path) -> None:
    seen = _scenario("links", tmp_path)
    assert len(seen["traces"]) == 5  # a route and a neighbour of each family, the link itself
    assert not seen["link-local"]
    assert seen["is NOARP"]
    assert seen["routes without their source"] == 0
    assert seen["healed"] == ["10.244.0.3", "10.244.0.1", "fd00:10:244::1"]
    assert seen["CHECK without its route"] == "no route to fd00:10:244::2 by LINK"
    assert seen["has the address again"]
    assert seen["traces at the end"] == []
    assert seen["the second holder"] == ["10.244.0.1", "fd00:10:244::1"]


def test_the_reference_plugins_fields_are_enough(tmp_path: Path) -> None:
    assert _scenario("standard", tmp_path) == {
        "ips": [["10.9.0.2"], ["10.9.0.3"]],
        "dns": {"nameservers": ["192.0.2.53"]},
        "pod": "10.9.0.3",
        "host": "10.9.0.3",
        "mtu": True,
        "link after DEL": [],
    }
