"""The link of a node's DNS, in a network namespace."""

import textwrap

import pytest

from tests.root import netns_script

pytestmark = pytest.mark.root

SCRIPT = textwrap.dedent(
    """
    import subprocess
    from nanokube.dns import link

    def sh(command):
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

    sh("ip link set lo up; ip addr add 192.0.2.10/32 dev lo; ip addr add 2001:db8::10/128 dev lo nodad")
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
    for _ in range(2):
        link.ensure(
            ["10.96.0.10", "fd00:10:96::a"],
            ["10.96.0.0/16", "fd00:10:96::/112"],
            ["192.0.2.10", "2001:db8::10"],
        )
    assert "fd00:10:96::a/128" in sh("ip -6 addr show nk-dns nodad")
    assert "10.96.0.0/16 dev nk-dns" in sh("ip route")
    assert "fd00:10:96::/112 dev nk-dns" in sh("ip -6 route")
    link.remove()
    assert "nk-dns" not in sh("ip -br link")
    """
)


def test_both_families_are_there_though_new_links_have_no_ipv6() -> None:
    netns_script.run(SCRIPT)
