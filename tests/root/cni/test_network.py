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


def _scenario(name: str, directory: Path) -> Any:
    command = ["unshare", "--net", "--mount", sys.executable, str(_LAB), name, str(directory)]
    env = {**os.environ, "PYTHONPATH": str(_SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_traffic_flows_with_and_without_br_netfilter(tmp_path: Path) -> None:
    seen = _scenario("traffic", tmp_path)
    for value in ("1", "0"):
        assert seen[value] == {
            "host": "10.244.0.1",
            "pod": "10.244.0.3",
            "loopback port": "10.244.0.1",
            "loopback port from another address": "192.0.2.10",
            "host address port": "10.244.0.1",
            "port from another pod": "10.244.0.3",
            "port from itself": "10.244.0.1",
        }
    assert seen["after DEL"] == ""
    assert set(seen["route_localnet"]) == {"0"}
    assert seen["result"]["ips"] == [{"address": "10.244.0.2/32", "gateway": "10.244.0.1", "interface": 2}]


def test_a_lying_pod_is_not_heard(tmp_path: Path) -> None:
    assert _scenario("spoofing", tmp_path) == {
        "honest": "10.244.0.3",
        "past the host": "",
        "another's address": "",
        "another's MAC and address": "",
        "the victim": "10.244.0.2",
    }


def test_upkeep_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = _scenario("upkeep", tmp_path)
    assert seen["elements after flush"] == 3
    assert seen["elements after GC"] == 1
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


def test_pods_attached_at_once_get_different_addresses(tmp_path: Path) -> None:
    seen = _scenario("burst", tmp_path)
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
    "elements after GC": 1,
    "neighbours after GC": False,
    "CHECK after GC": 101,
    "CHECK without its address": "fd00:10:244::2 is missing",
    "leases": [],
    "tables left": "",
    "forwarding left": "0",
}


def test_pods_of_both_families_have_all_ways_by_ipv6_too(tmp_path: Path) -> None:
    assert _scenario("dual", tmp_path) == {
        **_IPV6,
        "ips": [["10.244.0.2", "fd00:10:244::2"], ["10.244.0.3", "fd00:10:244::3"]],
        "gateways": ["10.244.0.1", "fd00:10:244::1"],
        "IPv4": "10.244.0.3",
    }


def test_pods_of_ipv6_alone(tmp_path: Path) -> None:
    assert _scenario("ipv6", tmp_path) == {
        **_IPV6,
        "ips": [["fd00:10:244::2"], ["fd00:10:244::3"]],
        "gateways": ["fd00:10:244::1"],
        "IPv4": "",
    }


def test_a_host_goes_on_to_hear_its_router(tmp_path: Path) -> None:
    assert _scenario("advertised", tmp_path) == {"while we run": "2", "after reset": "1"}
