"""Netlink and nftables encodings, rulesets and plans: pure parts of the plugins."""

import ipaddress
import struct
from pathlib import Path
from typing import Any

import pytest

from cni import bridge, conflist, links, masquerade, netlink, nft, portmap, ptp
from cni.skel import CniError, Code

_IP, _GATEWAY = ipaddress.IPv4Address("10.244.0.5"), ipaddress.IPv4Address("10.244.0.1")


def test_attributes_are_padded_and_bounded() -> None:
    assert netlink.attribute(3, b"ab") == struct.pack("=HH", 6, 3) + b"ab\0\0"
    with pytest.raises(ValueError, match="70000 bytes"):
        netlink.attribute(3, b"x" * 70000)


def test_acknowledgements_carry_the_kernels_words() -> None:
    text = netlink.attribute(1, b"no such port\0")
    body = struct.pack("=i", -22) + b"\0" * 16 + text
    data = struct.pack("=IHHII", 16 + len(body), 2, 0x200, 7, 0) + body
    fine = struct.pack("=IHHIIi", 36, 2, 0, 8, 0, 0) + b"\0" * 16
    assert netlink.acknowledgements(data + fine) == [(7, 22, "no such port"), (8, 0, "")]


@pytest.mark.parametrize("data", [b"", b"\1", b"\0" * 16, b"\xff" * 40])
def test_malformed_answers_end_the_reading(data: bytes) -> None:
    assert netlink.acknowledgements(data) == []


def test_interface_names_have_their_limit() -> None:
    with pytest.raises(ValueError, match="too long"):
        netlink.delete_link("x" * 16)


def test_concatenated_keys_are_padded_by_field() -> None:
    assert nft.concatenate(b"\6", b"\x1f\x90") == b"\6\0\0\0\x1f\x90\0\0"


@pytest.mark.parametrize("count", [0, 1, 4000, 65535])
def test_elements_are_sent_in_parts_that_attributes_can_carry(count: int) -> None:
    port = [nft.element(n.to_bytes(4, "big"), b"x" * 8) for n in range(count)]
    parts = list(nft.parts(port))
    assert b"".join(parts) == b"".join(port)
    assert len(parts) == -(-count * len(port[0] if port else b"") // 61000)
    assert all(netlink.attribute(3, part) for part in parts)


def test_mac_and_port_names_are_derived() -> None:
    assert links.mac_of(_IP).hex(":") == "0a:58:0a:f4:00:05"
    assert links.port_prefix("nk0") != links.port_prefix("nk1")
    assert len(links.port_prefix("nk0")) == 6


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"vlan": 5}, Code.UNSUPPORTED_FIELD),
        ({"bridge": "x" * 16}, Code.INVALID_CONFIG),
        ({"bridge": 'a"; flush ruleset'}, Code.INVALID_CONFIG),
    ],
)
def test_bridge_settings_are_checked(config: dict[str, Any], code: Code) -> None:
    with pytest.raises(CniError) as caught:
        bridge.settings(config)
    assert caught.value.code == code


def test_only_what_leaves_the_cluster_is_masqueraded() -> None:
    text = masquerade.render("nk0", ["10.244.0.0/24"], ["10.244.0.0/16"], masquerades=True, is_guarded=True)
    assert "ip daddr != { 10.244.0.0/24, 10.244.0.0/16, 224.0.0.0/4 }" in text
    assert "@pods counter drop" in text
    plain = masquerade.render("nk0", ["10.244.0.0/24"], [], masquerades=False, is_guarded=False)
    assert "masquerade" not in plain
    assert "@pods" not in plain


def test_host_ports_are_planned_by_map() -> None:
    config = {
        "runtimeConfig": {
            "portMappings": [
                {"hostPort": 80, "containerPort": 8080, "protocol": "TCP"},
                {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1"},
                {"containerPort": 9},
            ]
        }
    }
    wanted = portmap.mappings(config)
    assert [item["hostPort"] for item in wanted] == [80, 53]
    elements = portmap.plan(wanted, portmap.Target(_IP, _GATEWAY))
    assert {name: len(listed) for name, listed in elements.items()} == {
        "ports": 1,
        "ports_at": 1,
        "loopback": 1,
        "returning": 1,
        "hairpin": 1,
    }


@pytest.mark.parametrize(
    "mapping",
    [
        {"hostPort": 70000, "containerPort": 1},
        {"hostPort": 1, "containerPort": 0},
        {"hostPort": "80", "containerPort": 80},
        {"hostPort": 80, "containerPort": 80, "protocol": "icmp"},
        {"hostPort": 80, "containerPort": 80, "hostIP": "fe80::1%eth0"},
    ],
)
def test_bad_mappings_are_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(CniError):
        portmap.mappings({"runtimeConfig": {"portMappings": [mapping]}})


def test_no_rule_opens_loopback_to_the_network() -> None:
    assert "route_localnet" not in portmap.skeleton(4) + portmap.skeleton(6)


def test_default_conflist_has_links_of_their_own_with_the_gateway_on_the_bridge() -> None:
    listed = conflist.default("10.244.3.0/24", "nk0", Path("/d"), ["10.244.0.0/16"])
    first, second = listed["plugins"]
    assert first["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24", "gateway": "10.244.3.1"}]]
    assert first["type"] == "ptp"
    assert ptp.settings(first).gateway_link == "nk0"
    assert ptp.settings(first).cluster == ("10.244.0.0/16",)
    assert second["capabilities"] == {"portMappings": True}


def test_conflist_of_both_families_has_a_range_set_and_a_route_of_each() -> None:
    listed = conflist.default("10.244.3.0/24, fd00:10:244:3::/64", "nk0", Path("/d"))["plugins"][0]["ipam"]
    assert listed["ranges"] == [
        [{"subnet": "10.244.3.0/24", "gateway": "10.244.3.1"}],
        [{"subnet": "fd00:10:244:3::/64", "gateway": "fd00:10:244:3::1"}],
    ]
    assert listed["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]


def test_rules_of_a_family_name_its_own_networks() -> None:
    networks = (["10.244.0.0/24", "fd00:1::/64"], ["10.244.0.0/16", "fd00::/16"])
    text = masquerade.render("nk0", *networks, masquerades=True, is_guarded=True, family="ip6")
    assert "ip6 saddr { fd00:1::/64 } ip6 daddr != { fd00:1::/64, fd00::/16, ff00::/8 }" in text
    assert "10.244" not in text
    alone = masquerade.render("nk0", ["fd00:1::/64"], [], masquerades=True, is_guarded=True)
    assert "@pods counter drop" in alone, "what has no address of a family may send nothing in it"
    assert "masquerade fully-random" not in alone


def test_networks_of_routed_links_are_told_apart() -> None:
    one, other = (ptp.settings({"type": "ptp", "name": name}) for name in ("one", "other"))
    assert one.gateway_link != other.gateway_link
    assert one.prefix != other.prefix
    assert one.prefix != links.port_prefix(one.gateway_link), "ports of a bridge have other rules"
    with pytest.raises(CniError):
        ptp.settings({"gatewayLink": 'a"; flush ruleset'})


def test_routed_links_are_guarded_by_what_is_routed_to_them() -> None:
    subnets = ["10.244.0.0/24", "fd00:1::/64"]
    text = masquerade.render_routed("nk0", "nk1234", subnets, ["10.244.0.0/16"], masquerades=True)
    assert 'prerouting iifname "nk1234*" jump from_pod' in text
    assert "fib saddr . iif oif missing counter drop" in text
    assert "ip saddr { 10.244.0.0/24 } ip daddr != { 10.244.0.0/24, 10.244.0.0/16, 224.0.0.0/4 } masq" in text
    assert "ip6 saddr { fd00:1::/64 } ip6 daddr != { fd00:1::/64, ff00::/8 } masquerade" in text
    plain = masquerade.render_routed("nk0", "nk1234", subnets, [], masquerades=False)
    assert "masquerade" not in plain
    assert "fib saddr" in plain


def test_a_routed_link_is_settled_before_it_is_up() -> None:
    first, second = netlink.routed(7, has_ipv6=True)
    assert struct.unpack_from("=BxHiII", first[2]) == (0, 0, 7, 0, 0)
    assert struct.unpack_from("=BxHiII", second[2]) == (0, 0, 7, 0x81, 0x81)
    assert len(netlink.routed(7, has_ipv6=False)[0][2]) < len(first[2])


def test_a_pod_may_ask_for_its_gateways_only() -> None:
    text = masquerade.render_frames("nk0", "nk1234", "0a:58:0a:f4:00:01", ["10.244.0.1", "fd00:1::ab:cdef"])
    assert "arp daddr ip 10.244.0.1 accept" in text
    assert "ip6 daddr ff02::1:ffab:cdef icmpv6 type nd-neighbor-solicit accept" in text


@pytest.mark.parametrize(
    ("host_ip", "versions"),
    [("", {4, 6}), ("0.0.0.0", {4}), ("::", {6}), ("192.0.2.1", {4}), ("2001:db8::1", {6})],
)
def test_a_host_port_is_opened_in_the_families_of_its_address(host_ip: str, versions: set[int]) -> None:
    listed = [{"hostPort": 80, "containerPort": 8080, "hostIP": host_ip}]
    wanted = portmap.mappings({"runtimeConfig": {"portMappings": listed}})
    targets = {
        4: portmap.Target(_IP, _GATEWAY),
        6: portmap.Target(ipaddress.IPv6Address("fd00::5"), ipaddress.IPv6Address("fd00::1")),
    }
    assert {version for version, each in targets.items() if portmap.plan(wanted, each)} == versions
