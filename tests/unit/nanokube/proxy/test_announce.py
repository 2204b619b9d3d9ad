"""Which node announces which address, and how."""

import ipaddress
from typing import Any

from nanokube.proxy import announce

READY = [{"type": "Ready", "status": "True"}]


def node(name: str, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **meta}, "status": {"conditions": READY}}


def service(ip: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}]
    condition = {"type": announce.CONDITION, "status": "True"}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}, "conditions": [condition]},
    }


def test_each_address_has_one_announcer_and_moves_only_when_its_own_goes() -> None:
    nodes = ["a", "b", "c", "d"]
    addresses = [f"192.0.2.{each}" for each in range(200, 240)]
    before = {each: announce.leader(each, nodes) for each in addresses}
    assert set(before.values()) == set(nodes)
    after = {each: announce.leader(each, nodes[:3]) for each in addresses}
    assert all(after[each] == before[each] for each in addresses if before[each] != "d")


def test_only_ready_nodes_that_are_not_excluded_announce() -> None:
    down = {**node("down"), "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    nodes = [
        down,
        node("left", deletionTimestamp="x"),
        node("own"),
        node("x", labels={announce.EXCLUDED_LABEL: ""}),
    ]
    assert announce.announced_here([service("192.0.2.200")], {}, nodes, "own") == {"192.0.2.200"}
    assert announce.announced_here([service("192.0.2.200")], {}, nodes, "down") == frozenset()


def test_an_address_of_the_nodes_own_link_is_announced_there() -> None:
    """A node behind a router is on another link: nobody who asks for the address would hear it."""
    nodes = [at("near", "192.0.2.11"), at("far", "198.51.100.12")]
    link, remote = [ipaddress.ip_network("192.0.2.0/24")], [ipaddress.ip_network("198.51.100.0/24")]
    services = [service(f"192.0.2.{each}") for each in range(200, 220)]
    addresses = {f"192.0.2.{each}" for each in range(200, 220)}
    assert announce.announced_here(services, {}, nodes, "near", link) == addresses
    # What the far one does with an address that is not of its link, nobody hears.
    elsewhere = [service(f"203.0.113.{each}") for each in range(200, 220)]
    routed = [
        announce.announced_here(elsewhere, {}, nodes, name, networks)
        for name, networks in (("near", link), ("far", remote))
    ]
    assert len(routed[0]) + len(routed[1]) == 20, "one way to tell for all, where an operator's routes lead"


def at(name: str, ip: str) -> dict[str, Any]:
    made = node(name)
    made["status"]["addresses"] = [{"type": "InternalIP", "address": ip}]
    return made


def test_with_the_local_policy_only_nodes_with_endpoints_announce() -> None:
    slices = [
        {
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "b", "conditions": {"ready": True}}],
        }
    ]
    local = service("192.0.2.200", externalTrafficPolicy="Local")
    nodes = [node("a"), node("b"), node("c")]
    found = {
        name: announce.announced_here([local], {"default/web": slices}, nodes, name)
        for name in ("a", "b", "c")
    }
    assert found == {"a": frozenset(), "b": {"192.0.2.200"}, "c": frozenset()}


def test_addresses_that_another_controller_gave_are_left_to_it() -> None:
    foreign = service("192.0.2.200")
    foreign["status"]["conditions"] = []
    assert announce.announced_here([foreign], {}, [node("own")], "own") == frozenset()


def test_announcements_name_address_and_mac() -> None:
    mac = bytes.fromhex("0a0b0c0d0e0f")
    frame = announce.arp_announcement(ipaddress.IPv4Address("192.0.2.200"), mac)
    assert len(frame) == 42
    assert frame[6:12] == mac
    assert frame[28:32] == frame[38:42] == bytes([192, 0, 2, 200])
    six = announce.neighbour_advertisement(ipaddress.IPv6Address("fd00::8"), mac)
    assert len(six) == 14 + 40 + 32
    assert six.endswith(mac)
