"""The Pod network's plan in a real kernel: ways of both families, made, changed and taken back."""

import textwrap

import pytest

from tests.root import netns_script

pytestmark = pytest.mark.root

SCRIPT = textwrap.dedent(
    """
    import dataclasses, ipaddress, subprocess
    from pathlib import Path
    from nanokube.podnet import kernel, plan

    def sh(command):
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    sh("ip link set lo up; ip link add eth0 type bridge; ip link set eth0 up")
    sh("ip addr add 192.0.2.10/24 dev eth0; ip addr add 2001:db8::10/64 dev eth0 nodad")
    sh("ip route add default via 192.0.2.1; ip route add default via 2001:db8::1")

    cluster = [ipaddress.ip_network("10.244.0.0/16"), ipaddress.ip_network("fd00:10:244::/56")]
    def peer(name, number, *addresses):
        ranges = (f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64")
        own = tuple(map(ipaddress.ip_address, addresses))
        return plan.Peer(name, own, tuple(map(ipaddress.ip_network, ranges)))
    own = peer("own", 0, "192.0.2.10", "2001:db8::10")
    held = kernel.Kernel(cluster, lambda key, value: Path("/proc/sys", key).write_text(value))

    def routes(*peers):
        made = plan.make(own, [own, *peers], held.link_to)
        held.apply(made)
        held.apply(made)
        assert not made.unreachable
        return sh("ip route show proto 107") + sh("ip -6 route show proto 107")

    near = routes(peer("a", 1, "192.0.2.11", "2001:db8::11"))
    assert "10.244.1.0/24 via 192.0.2.11 dev eth0" in near
    assert "fd00:10:244:1::/64 via 2001:db8::11 dev eth0" in near
    assert "nk-vxlan" not in sh("ip -br link")

    moved = routes(peer("a", 1, "198.51.100.11", "2001:db8:1::11"))
    assert "10.244.1.0/24 via 10.244.1.0 dev nk-vxlan src 10.244.0.0 onlink" in moved, moved
    assert "fd00:10:244:1::/64 via fd00:10:244:1:: dev nk-vxlan" in moved, moved
    assert "local 192.0.2.10 " in sh("ip -d link show nk-vxlan")
    assert "fd00:10:244:1:: lladdr 0a:58:0a:f4:01:00 PERMANENT" in sh("ip -6 neigh show dev nk-vxlan")
    assert "dst 198.51.100.11" in sh("bridge fdb show dev nk-vxlan")

    assert sh("nft list table inet nanokube-podnet").count("udp dport 4789 notrack") == 2

    only = peer("a", 1, "2001:db8:1::11")
    alone = routes(dataclasses.replace(only, ranges=only.ranges[1:]))
    assert "10.244.1.0/24" not in alone
    assert "local 2001:db8::10 " in sh("ip -d link show nk-vxlan")
    assert "dst 2001:db8:1::11" in sh("bridge fdb show dev nk-vxlan")

    back = routes(peer("a", 1, "192.0.2.11", "2001:db8::11"))
    assert sorted(back.split()) == sorted(near.split()), back
    assert "nk-vxlan" not in sh("ip -br link")
    kernel.remove()
    assert not sh("ip route show proto 107") + sh("ip -6 route show proto 107") + sh("nft list tables")
    """
)


def test_ways_of_both_families_follow_their_peer() -> None:
    netns_script.run(SCRIPT)
