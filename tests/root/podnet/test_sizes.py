"""Largest packets of Pods' links in a real kernel: they follow the node's ways, for open connections too."""

import textwrap

import pytest

from tests.root import netns_script

pytestmark = pytest.mark.root

SCRIPT = textwrap.dedent(
    """
    import asyncio, contextlib, ipaddress, json, os, socket, subprocess, tempfile, threading, time
    from pathlib import Path
    from cni import conflist, netns, skel
    from nanokube.kit import links
    from nanokube.podnet import kernel, plan, run

    run.CHECK_S = 0.3  # the kernel tells nobody that a link's limit was changed
    BIG = 196608
    LARGE, DEFAULT = links.Sizes(BIG, BIG), links.Sizes()
    stack = contextlib.ExitStack()
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def sh(command):
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

    def space(*options):
        command = ["unshare", *options, "--net", "sh", "-ec", "echo ready; read line"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        stack.callback(process.wait)
        stack.callback(process.stdin.close)
        return process.pid

    def within(pid, work):
        with netns.opened(f"/proc/{pid}/ns/net") as fd:
            return netns.run(fd, work)

    def held(name):
        with links.Socket() as rtnl:
            (found,) = [each for each in rtnl.links() if each.name == name]
        return found

    def limit(name, wanted):
        with links.Socket() as rtnl:
            rtnl.fit(held(name).index, wanted)

    networks = [ipaddress.ip_network("10.244.0.0/16"), ipaddress.ip_network("fd00:10:244::/56")]
    pins = scratch / "ns"
    config = conflist.default(
        "10.244.1.0/24,fd00:10:244:1::/64", "nk0", scratch / "cni", [str(each) for each in networks], 1500
    )
    config = {**config["plugins"][0], "cniVersion": config["cniVersion"], "name": config["name"]}

    def attach(name, *options):
        pid = space(*options)
        (pins / name).mkdir(parents=True)
        (pins / name / "net").symlink_to(f"/proc/{pid}/ns/net")
        environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": name, "CNI_IFNAME": "eth0"}
        environment |= {"CNI_PATH": "/none", "CNI_NETNS": f"/proc/{pid}/ns/net"}
        made = skel.invoke(config["type"], environment, json.dumps(config).encode())
        return pid, made["interfaces"][0]["name"]

    def mtu(pod):
        # of IPv6: who forwards large packets counts 8 bytes more into each piece
        return within(pod[0], lambda: int(Path("/proc/sys/net/ipv6/conf/eth0/mtu").read_text()))

    def of(pod):
        pid, end = pod
        return held(end).sizes, within(pid, lambda: held("eth0").sizes)

    # The node, and beside it on its link a peer that is a server, and one behind a router
    sh("ip link set lo up")
    peer = space()
    sh(f"ip link add eth0 type veth peer name eth0 netns {peer}")
    sh("ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad; ip link set eth0 up")
    theirs = "ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad"
    theirs += "; ip link set eth0 up"
    theirs += "; ip route add 10.244.1.0/24 via 192.0.2.1; ip route add fd00:10:244:1::/64 via 2001:db8::1"
    sh(f"nsenter -t {peer} -n sh -ec '{theirs}'")
    sh("ip route add default via 192.0.2.2; ip route add default via 2001:db8::2")
    sh("ip link add nk-dns type bridge; ip link set nk-dns up; ip route add 10.96.0.0/16 dev nk-dns")
    set_sysctl = lambda key, value: Path("/proc/sys", key).write_text(value)
    (pins / "half").mkdir(parents=True)
    (pins / "half" / "net").touch()  # not pinned yet
    pods = [attach("plain"), attach("mapped", "--user", "--map-root-user")]

    def node(name, number, *addresses):
        ranges = (f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64")
        return {
            "metadata": {"name": name},
            "spec": {"podCIDRs": list(ranges)},
            "status": {"addresses": [{"type": "InternalIP", "address": each} for each in addresses]},
        }

    class Nodes:
        synced = asyncio.Event()
        held = [node("own", 1, "192.0.2.1", "2001:db8::1"), node("near", 2, "192.0.2.2", "2001:db8::2")]
        def list(self): return self.held
        def subscribe(self, tell): self.tell = tell

    def longest(host_end, version):
        \"\"\"Send on the Pod's open connection for a moment; return the longest packet.\"\"\"
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as tap:
            tap.bind((host_end, 3))
            tap.settimeout(0.2)
            until, most = time.monotonic() + 0.4, 0
            while time.monotonic() < until:
                clients[version].sendall(bytes(1 << 20))
                with contextlib.suppress(TimeoutError):
                    for _ in range(200):
                        most = max(most, tap.recv_into(bytearray(1), 1, socket.MSG_TRUNC))
            return most

    def serve(family):
        server = socket.create_server(("", 5000), family=family)
        def swallow():
            connection, _ = server.accept()
            while connection.recv(1 << 20): pass
        threading.Thread(target=swallow, daemon=True).start()

    def dial(address):
        return socket.create_connection((address, 5000), timeout=5)

    for family in (socket.AF_INET, socket.AF_INET6):
        within(peer, lambda: serve(family))
    pid, end = pods[0]
    clients = {
        4: within(pid, lambda: dial("192.0.2.2")),  # leaves under the node's address: the table of NAT
        6: within(pid, lambda: dial("2001:db8::2")),
    }

    async def until(wanted, *which):
        async with asyncio.timeout(5):
            while any(each != wanted for pod in which for each in of(pod)):
                await asyncio.sleep(0.02)

    async def main():
        nodes = Nodes()
        nodes.synced.set()
        network = run.PodNetwork(nodes, "own", networks, kernel.Kernel(networks, set_sysctl, pins))
        with links.Events() as events:
            asyncio.get_running_loop().add_reader(events.fileno(), lambda: network.on_links(events.read()))
            async with asyncio.TaskGroup() as group:
                task = group.create_task(network.run())
                await until(DEFAULT, *pods)
                sizes = [await asyncio.to_thread(longest, end, each) for each in (4, 6)]
                assert max(sizes) <= 65536 + 100, sizes
                limit("eth0", links.Sizes(BIG, BIG))
                await until(LARGE, *pods)
                pods.append(await asyncio.to_thread(attach, "later"))
                await until(LARGE, *pods)
                assert [mtu(each) for each in pods] == [1492] * 3
                limit("eth0", links.Sizes(65536, BIG))
                await until(links.Sizes(65536, BIG), *pods)
                limit("eth0", links.Sizes(BIG, BIG))
                await until(LARGE, *pods)
                sizes = [await asyncio.to_thread(longest, end, each) for each in (4, 6)]
                assert min(sizes) > 100_000, sizes
                told = Path("/proc/thread-self/net/snmp6").read_text().splitlines()
                refused = dict(each.split() for each in told)
                assert refused["Icmp6OutPktTooBigs"] == "0"
                # A peer behind a router: back to the default, for open connections too
                nodes.held = [*nodes.held, node("far", 3, "198.51.100.3")]
                nodes.tell("added", None, nodes.held[-1])
                await until(DEFAULT, *pods)
                assert [mtu(each) for each in pods] == [1500] * 3
                assert "nk-vxlan" in sh("ip -br link")
                sizes = [await asyncio.to_thread(longest, end, each) for each in (4, 6)]
                assert max(sizes) <= 65536 + 100, sizes
                for name, *_ in pods:
                    assert "192.0.0.8" not in sh(f"nsenter -t {name} -n ip route")
                nodes.held = nodes.held[:2]
                nodes.tell("deleted", None, nodes.held[-1])
                await until(LARGE, *pods)
                # Another way, which has carrier: a bridge's port
                sh("ip link add other type veth peer name end; ip link set other up; ip link set end up")
                sh("ip addr add 203.0.113.1/24 dev other")
                await until(links.Sizes(65536, BIG), *pods)
                sh("ip link del other")
                await until(LARGE, *pods)
                task.cancel()

    def restart():
        # An agent that was away finds what has changed meanwhile.
        again = kernel.Kernel(networks, set_sysctl, pins)
        assert again.fit() == DEFAULT and of(pods[0]) == (LARGE, LARGE)  # nothing decided yet
        own, near = (plan.peer(each, networks) for each in Nodes.held)
        limit("eth0", DEFAULT)
        again.apply(plan.make(own, [own, near], again.link_to))
        assert again.fit() == DEFAULT
        assert {size for pod in pods for size in of(pod)} == {DEFAULT}

    try:
        asyncio.run(main())
        restart()
    finally:
        for each in clients.values():
            each.close()
        kernel.remove()
        stack.close()
    """
)


def test_limits_follow_the_ways_out_of_the_node() -> None:
    netns_script.run(SCRIPT)
