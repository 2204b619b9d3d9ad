"""The proxy's ruleset in a real kernel: connections reach endpoints, spread, stick, and are refused."""

import re
import textwrap

import pytest

from tests.root import netns_script

pytestmark = pytest.mark.root

# One network namespace is enough: the endpoints are addresses of its loopback device.
SCRIPT = textwrap.dedent(
    """
    import collections, socket, subprocess, threading
    from cri.linux import nftables
    from nanokube.proxy import conntrack, forwards, ruleset, table
    from nanokube.proxy.forwards import Endpoint, Forward, Forwards

    def sh(command): subprocess.run(command, shell=True, check=True)
    sh("ip link set lo up; ip link add d0 type bridge; ip link set d0 up; ip addr add 10.1.0.1/24 dev d0")
    sh("ip addr add 10.244.0.2/32 dev d0; ip addr add 10.244.0.3/32 dev d0; ip route add 10.96.0.0/16 dev d0")

    def serve(ip, kind):
        server = socket.socket(socket.AF_INET, kind)
        server.bind((ip, 8080))
        if kind == socket.SOCK_DGRAM:
            while True:
                _data, peer = server.recvfrom(99)
                server.sendto(ip.encode(), peer)
        server.listen(64)
        while True:
            connection, _peer = server.accept()
            connection.sendall(ip.encode()); connection.close()

    for ip in ("10.244.0.2", "10.244.0.3"):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            threading.Thread(target=serve, args=(ip, kind), daemon=True).start()

    def ask(address, kind=socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as client:
            client.settimeout(3)
            client.connect(address)
            client.send(b"?")
            return client.recv(99).decode()

    two = (Endpoint("10.244.0.2", 8080), Endpoint("10.244.0.3", 8080))
    held, nft = table.Table(), nftables.Nftables()
    nft.run(held.everything())
    def fill(*each): nft.run(held.replace("a", ruleset.elements(Forwards(each))))
    fill(
        Forward("10.96.0.20", 4, "tcp", 80, two), Forward("", 4, "tcp", 30080, two),
        Forward("10.96.0.20", 4, "udp", 53, two), Forward("", 4, "udp", 30053, two),
        Forward("10.96.0.21", 4, "tcp", 80, two, affinity_s=1000),
        Forward("10.96.0.22", 4, "tcp", 80, ()),
        Forward("10.96.0.23", 4, "tcp", 80, two, sources=("192.0.2.0/24",), is_virtual=True),
        Forward("10.96.0.24", 4, "tcp", 80, (), inside=two[:1], is_refused=False),
    )
    spread = collections.Counter(ask(("10.96.0.20", 80)) for _ in range(40))
    assert len(spread) == 2 and min(spread.values()) > 4, spread
    assert len({ask(("10.1.0.1", 30080)) for _ in range(40)}) == 2
    assert len({ask(("10.96.0.20", 53), socket.SOCK_DGRAM) for _ in range(40)}) == 2
    assert len({ask(("10.1.0.1", 30053), socket.SOCK_DGRAM) for _ in range(40)}) == 2
    assert len({ask(("10.96.0.21", 80)) for _ in range(20)}) == 1
    for refused in (("10.96.0.22", 80), ("127.0.0.1", 30080)):
        try:
            ask(refused)
        except ConnectionRefusedError:
            continue
        raise AssertionError(f"{refused} answered")
    assert {ask(("10.96.0.24", 80)) for _ in range(9)} == {"10.244.0.2"}, "the node itself is inside"
    kept = ask(("10.96.0.21", 80))
    three = tuple(Endpoint(ip, 8080) for ip in ("10.244.0.2", "10.244.0.3", "10.244.0.4", "10.244.0.5"))
    fill(Forward("10.96.0.21", 4, "tcp", 80, three, affinity_s=1000))
    assert {ask(("10.96.0.21", 80)) for _ in range(9)} == {kept}, "new endpoints take no client away"
    others = tuple(each for each in two if each.ip != kept)
    fill(Forward("10.96.0.21", 4, "tcp", 80, others, affinity_s=1000))
    assert {ask(("10.96.0.21", 80)) for _ in range(9)} == {others[0].ip}, "a client whose endpoint left moves"
    fill(Forward("10.96.0.21", 4, "tcp", 80, two, affinity_s=1000))
    assert {ask(("10.96.0.21", 80)) for _ in range(9)} == {others[0].ip}, "and stays there"
    fill(Forward("10.96.0.20", 4, "tcp", 80, two[1:]))
    assert {ask(("10.96.0.20", 80)) for _ in range(10)} == {"10.244.0.3"}
    nft.run(held.everything())
    assert {ask(("10.96.0.20", 80)) for _ in range(10)} == {"10.244.0.3"}

    def lead_to(ends):
        wanted = Forwards((Forward("10.96.0.25", 4, "udp", 53, ends),))
        nft.run(held.replace("u", ruleset.elements(wanted)))
        return wanted
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        before = lead_to(two)
        client.settimeout(3)
        client.connect(("10.96.0.25", 53))
        def answer():
            client.send(b"?")
            return client.recv(99).decode()
        first = answer()
        left = tuple(each for each in two if each.ip != first)
        after = lead_to(left)
        assert answer() == first, "a flow goes on by its entry"
        assert conntrack.flush([conntrack.stale(before, after)]) == 1
        assert answer() == left[0].ip, "and is forgotten with its endpoint"
    nft.run(ruleset.remove())
    assert nft.run("list tables").strip() == ""
    """
)


# The same in IPv6, where affinity is by hash alone: who comes or goes may move a client.
_IN_IPV6 = (
    (r"10\.244\.0\.(\d)/32 dev d0", r"fd00:244::\1/128 dev d0 nodad"),
    (r"10\.1\.0\.1/24 dev d0", "fd00:1::1/64 dev d0 nodad"),
    (r"10\.96\.0\.0/16", "fd00:96::/112"),
    (r"10\.96\.0\.", "fd00:96::"),
    (r"10\.244\.0\.", "fd00:244::"),
    (r"10\.1\.0\.1", "fd00:1::1"),
    (r"192\.0\.2\.0/24", "2001:db8::/32"),
    (r"127\.0\.0\.1", "::1"),
    ("AF_INET", "AF_INET6"),
    (r', 4, "', ', 6, "'),
    (r"kept = .*\n(.*\n){8}", ""),
)


def in_ipv6(script: str) -> str:
    for pattern, replacement in _IN_IPV6:
        script, count = re.subn(pattern, replacement, script)
        assert count, pattern
    return script


@pytest.mark.parametrize("script", [SCRIPT, in_ipv6(SCRIPT)], ids=["ipv4", "ipv6"])
def test_services_reach_their_endpoints(script: str) -> None:
    netns_script.run(script)
