"""Which way leads to another node's Pods."""

import ipaddress
from typing import Any

import pytest

from nanokube.podnet import plan, rules

CLUSTER = [ipaddress.ip_network("10.244.0.0/16"), ipaddress.ip_network("fd00:10::/48")]
LINK = plan.Link("eth0", 1500, True)
ROUTED = plan.Link("eth0", 1500, False)


def node(name: str, address: str, *ranges: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"podCIDRs": list(ranges)},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


def made(others: list[dict[str, Any]], links: dict[str, plan.Link]) -> plan.Plan:
    own = plan.peer(node("own", "192.0.2.10", "10.244.0.0/24"), CLUSTER)
    peers = [plan.peer(each, CLUSTER) for each in others]
    return plan.make(own, [own, *peers], lambda address: links.get(str(address)))


def test_a_neighbour_is_the_next_hop_and_needs_no_overlay() -> None:
    found = made([node("near", "192.0.2.11", "10.244.1.0/24")], {"192.0.2.11": LINK})
    assert [(str(each.range), str(each.via)) for each in found.direct] == [("10.244.1.0/24", "192.0.2.11")]
    assert found.overlay is None
    assert rules.render(found, CLUSTER) == rules.remove()


def test_a_peer_behind_a_router_is_tunnelled_with_a_smaller_mtu() -> None:
    others = [node("near", "192.0.2.11", "10.244.1.0/24"), node("far", "198.51.100.12", "10.244.2.0/24")]
    found = made(others, {"192.0.2.11": LINK, "198.51.100.12": ROUTED})
    (far,) = found.tunnelled
    assert (str(far.remote), str(far.gateway), far.mac) == (
        "198.51.100.12",
        "10.244.2.0",
        "0a:58:0a:f4:02:00",
    )
    assert found.overlay is not None
    assert (found.overlay.mtu, str(found.overlay.inner[0])) == (1450, "10.244.0.0")
    text = rules.render(found, CLUSTER)
    assert "udp dport 4789 ip saddr != { 198.51.100.12 } drop" in text
    assert 'oifname "nk-vxlan" ip saddr != { 10.244.0.0/16 } masquerade' in text


def test_the_overlay_has_the_least_mtu_of_its_links() -> None:
    others = [node("a", "198.51.100.1", "10.244.1.0/24"), node("b", "198.51.100.2", "10.244.2.0/24")]
    links = {"198.51.100.1": plan.Link("eth0", 9000, False), "198.51.100.2": plan.Link("wg0", 1420, False)}
    found = made(others, links)
    assert found.overlay is not None
    assert found.overlay.mtu == 1370


@pytest.mark.parametrize("range_", ["0.0.0.0/0", "192.0.2.0/24", "10.244.0.128/25", "10.0.0.0/8", "word"])
def test_no_node_draws_to_itself_what_is_not_its_own(range_: str) -> None:
    found = made([node("rogue", "192.0.2.11", range_)], {"192.0.2.11": LINK})
    assert found == plan.Plan()


def test_of_two_nodes_that_claim_a_range_the_first_by_name_has_it() -> None:
    others = [node("b", "192.0.2.12", "10.244.1.0/24"), node("a", "192.0.2.11", "10.244.1.0/24")]
    found = made(others, {"192.0.2.11": LINK, "192.0.2.12": LINK})
    assert [str(each.via) for each in found.direct] == ["192.0.2.11"]


def test_ipv6_ranges_of_nodes_with_ipv4_addresses_are_tunnelled() -> None:
    found = made([node("a", "192.0.2.11", "10.244.1.0/24", "fd00:10:0:1::/64")], {"192.0.2.11": LINK})
    assert [str(each.range) for each in found.direct] == ["10.244.1.0/24"]
    assert [str(each.range) for each in found.tunnelled] == ["fd00:10:0:1::/64"]


BOTH = ("192.0.2.10", "2001:db8::10")
OWN = plan.Peer(
    "own",
    tuple(map(ipaddress.ip_address, BOTH)),
    (ipaddress.ip_network("10.244.0.0/24"), ipaddress.ip_network("fd00:10::/64")),
)


def both(name: str, first: str, second: str, number: int) -> plan.Peer:
    ranges = [f"10.244.{number}.0/24", f"fd00:10:0:{number}::/64"]
    whole = node(name, first, *ranges)
    whole["status"]["addresses"].append({"type": "InternalIP", "address": second})
    return plan.peer(whole, CLUSTER)


def test_a_neighbour_is_the_next_hop_in_both_families() -> None:
    found = plan.make(OWN, [both("near", "192.0.2.11", "2001:db8::11", 1)], lambda _address: LINK)
    assert [(str(each.range), str(each.via)) for each in found.direct] == [
        ("10.244.1.0/24", "192.0.2.11"),
        ("fd00:10:0:1::/64", "2001:db8::11"),
    ]
    assert found.overlay is None


def test_one_overlay_carries_both_families_by_the_nodes_first_address() -> None:
    found = plan.make(OWN, [both("far", "198.51.100.12", "2001:db8:1::12", 2)], lambda _address: ROUTED)
    assert [(str(each.range), str(each.remote), each.mac) for each in found.tunnelled] == [
        ("10.244.2.0/24", "198.51.100.12", "0a:58:0a:f4:02:00"),
        ("fd00:10:0:2::/64", "198.51.100.12", "0a:58:0a:f4:02:00"),
    ]
    assert found.overlay is not None
    assert (str(found.overlay.local), found.overlay.mtu) == (BOTH[0], 1450)
    assert list(map(str, found.overlay.inner)) == ["10.244.0.0", "fd00:10::"]
    text = rules.render(found, CLUSTER)
    assert "udp dport 4789 ip saddr != { 198.51.100.12 } drop" in text
    assert 'oifname "nk-vxlan" ip6 saddr != { fd00:10::/48 } masquerade' in text
    for hook in ("prerouting", "output"):
        assert f"type filter hook {hook} priority raw; udp dport 4789 notrack;" in text


def test_the_overlay_goes_by_ipv6_where_peers_are_reached_by_it_alone() -> None:
    links = {"2001:db8:1::12": ROUTED}
    peers = [both("far", "198.51.100.12", "2001:db8:1::12", 2)]
    found = plan.make(OWN, peers, lambda address: links.get(str(address)))
    assert [str(each.remote) for each in found.tunnelled] == ["2001:db8:1::12"] * 2
    assert found.overlay is not None
    assert (str(found.overlay.local), found.overlay.mtu) == (BOTH[1], 1430)
    assert "udp dport 4789 ip6 saddr != { 2001:db8:1::12 } drop" in rules.render(found, CLUSTER)


def test_an_unreachable_peer_is_named() -> None:
    found = made([node("gone", "192.0.2.11", "10.244.1.0/24")], {})
    assert (found.direct, found.unreachable) == ((), ("gone",))


def test_a_trimmed_node_still_says_what_is_needed() -> None:
    whole = node("a", "192.0.2.11", "10.244.1.0/24")
    whole["status"] |= {
        "images": ["large"],
        "conditions": [{"type": "Ready", "status": "True", "reason": "x"}],
    }
    trimmed = plan.trim(whole)
    assert plan.peer(trimmed, CLUSTER) == plan.peer(whole, CLUSTER)
    assert trimmed["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert "images" not in trimmed["status"]
