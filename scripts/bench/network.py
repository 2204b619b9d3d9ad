"""Measures Pod-to-Pod TCP across two nodes against the plain link between them, interleaved.

Two namespaces stand for nodes, a veth pair for their link, with a lab's limits. Each has a Pod on a link of
its own, as nodes have, made by the CNI plugin, and the routes or the overlay that the agent makes; "bridge"
in a way's name: a Pod on a bridge instead. "bare" is the same links, bridges and routes without any rule of
nftables, connection tracking or br_netfilter: no network of routes can do with less. The plain link is
measured with the same limits, and with the kernel's own. Shares and differences are medians of the rounds'.
Both ends run before all else (SCHED_FIFO), or a busy host decides. Needs root; leaves nothing.

    python scripts/bench/network.py [--seconds 1] [--rounds 5] [--ways 'routes;overlay'] [--largest 65536]
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

NODES = {"a": ("192.0.2.1", "10.244.1.0/24"), "b": ("192.0.2.2", "10.244.2.0/24")}
KINDS = ("pod", "bridged")
PORT = 5201
PINGS = 2000
DEFAULT = 65536  # the kernel's, of a packet on any link
# What was measured: the plain link, the Pods, the plain link with the kernel's limit.
Round = tuple[dict[str, float], dict[str, float], dict[str, float]]
BARE = "bare"
# What leads to the other node; a bare one goes by the routes of the one before.
WAYS = ("overlay", "routes", BARE)
BRIDGE = "bridge"

# Runs in a node's namespace: limits packets on its link.
LIMIT = """
import sys
from nanokube.kit import links
with links.Socket() as here:
    here.widen("eth0", links.Sizes(ipv4=int(sys.argv[1])))
"""

# Runs in a node's namespace: attaches a Pod and leads to the other node.
NODE = """
import ipaddress, json, sys
from pathlib import Path
from cni import conflist, skel
from nanokube.podnet import kernel, plan
name, pods, nodes, way, directory = json.loads(sys.argv[1])
nets = [ipaddress.ip_network("10.244.0.0/16")]
peers = [
    plan.Peer(each, (ipaddress.ip_address(ip),), (ipaddress.ip_network(pods),))
    for each, (ip, pods) in nodes.items()
]
own = next(each for each in peers if each.name == name)
data = Path(directory)
for kind, pid in pods.items():
    whole = conflist.default(str(own.ranges[0]), "nk0", data, ["10.244.0.0/16"], 1500)
    config = {**whole["plugins"][0], "cniVersion": whole["cniVersion"], "name": whole["name"]}
    if kind == "bridged":
        config |= {"type": "bridge", "bridge": "nk0", "isDefaultGateway": True, "routed": True}
    env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": kind + name, "CNI_IFNAME": "eth0", "CNI_PATH": "/none"}
    env["CNI_NETNS"] = f"/proc/{pid}/ns/net"
    (data / "ns" / kind).mkdir(parents=True)
    (data / "ns" / kind / "net").symlink_to(env["CNI_NETNS"])
    skel.invoke(config["type"], env, json.dumps(config).encode())
link = plan.Link("eth0", 1500, way == "routes")
setting = lambda key, value: (Path("/proc/sys") / key).write_text(value)
held = kernel.Kernel(nets, setting, data / "ns")
held.apply(plan.make(own, peers, lambda address: link))
held.fit()
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", help="of them, with semicolons between", default=";".join(WAYS))
    parser.add_argument("--largest", type=int, default=196608, help="bytes of a packet on the nodes' link")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "serve":
        hurry()
        serve()
    elif options.role == "ask":
        hurry()
        print(json.dumps({"gbit": stream(options.address, options.seconds), "us": ping(options.address)}))
    else:
        measure(options.rounds, options.seconds, options.ways.split(";"), options.largest)


def measure(rounds: int, seconds: float, ways: Sequence[str], largest: int) -> None:
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        # While a Pod is on a bridge, that bridge is one of the ways, and has the kernel's limit.
        kinds = {KINDS[BRIDGE in way] for way in ways}
        names = [*NODES, *[f"{kind}-{name}" for kind in kinds for name in NODES]]
        spaces = {name: stack.enter_context(namespace()) for name in names}
        _link(spaces["a"], spaces["b"])
        _limit(spaces, largest)
        for name in NODES:
            _node(spaces, name, "routes", scratch, kinds)
        for name in ("b", *[f"{kind}-b" for kind in kinds]):
            stack.enter_context(serving(spaces[name]))
        targets = {kind: _address(spaces[f"{kind}-b"]) for kind in kinds}
        found: dict[str, list[Round]] = {}
        last = "routes"
        for _round in range(rounds):
            for whole in ways:
                way, _, links = whole.partition(", ")
                kind = KINDS[links == BRIDGE]
                with _bare(spaces) if way == BARE else contextlib.nullcontext():
                    for name in NODES if way not in (BARE, last) else ():
                        _node(spaces, name, way, scratch)
                    last = last if way == BARE else way
                    pods = ask(spaces[f"{kind}-a"], targets[kind], seconds)
                    plain = ask(spaces["a"], NODES["b"][0], seconds)
                    _limit(spaces, DEFAULT)
                    default = ask(spaces["a"], NODES["b"][0], seconds)
                    _limit(spaces, largest)
                    found.setdefault(whole, []).append((plain, pods, default))
    _show(found)


def _show(found: dict[str, list[Round]]) -> None:
    print(
        f"{'way':16} {'Gbit/s':>7} {'plain link':>11} {'of it':>6} {'by default':>11} {'of it':>6} ", end=""
    )
    print(f"{'round trip us':>14} {'more':>6}")
    for way, results in found.items():
        plain, pod, default = (
            {key: statistics.median(each[side][key] for each in results) for key in ("gbit", "us")}
            for side in range(3)
        )
        share = statistics.median(each["gbit"] / link["gbit"] for link, each, _ in results)
        to_default = statistics.median(each["gbit"] / link["gbit"] for _, each, link in results)
        more = statistics.median(each["us"] - link["us"] for link, each, _ in results)
        figures = f"{pod['gbit']:7.1f} {plain['gbit']:11.1f} {share:6.0%} {default['gbit']:11.1f} "
        print(f"{way:16} {figures}{to_default:6.0%} {pod['us']:15.1f} {more:6.1f}")


@contextlib.contextmanager
def _bare(spaces: dict[str, int]) -> Iterator[None]:
    """Take all rules from the nodes, and have bridges ask none, until the block ends; routes stay."""
    held = {name: _run(spaces[name], "nft", "list", "ruleset") for name in NODES}
    switch = "for each in /proc/sys/net/bridge/bridge-nf-call-*; do ! test -e $each || echo {} > $each; done"
    for name in NODES:
        _run(spaces[name], "sh", "-ec", "nft flush ruleset; " + switch.format(0))
    try:
        yield
    finally:
        for name, rules in held.items():
            _run(spaces[name], "sh", "-ec", switch.format(1))
            command = _inside(spaces[name], "nft", "-f", "-")
            subprocess.run(command, check=True, input=rules, text=True)


@contextlib.contextmanager
def namespace() -> Iterator[int]:
    """Make a network namespace that ends with the block; yields the pid of the process in it."""
    command = ["unshare", "--net", "sh", "-ec", "ip link set lo up; echo ready; read line || true"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def _inside(pid: int, *command: str) -> list[str]:
    return ["nsenter", "-t", str(pid), "-n", *command]


def _run(pid: int, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        _inside(pid, *command), check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return done.stdout


def _link(one: int, other: int) -> None:
    pair = ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(other)]
    _run(one, *pair)
    for pid, (address, _pods) in zip((one, other), NODES.values(), strict=True):
        _run(pid, "sh", "-ec", f"ip addr add {address}/24 dev eth0; ip link set eth0 up")


def _limit(spaces: dict[str, int], largest: int) -> None:
    for name in NODES:
        _run(spaces[name], sys.executable, "-c", LIMIT, str(largest))


def _node(spaces: dict[str, int], name: str, way: str, scratch: str, kinds: Iterable[str] = ()) -> None:
    """Have a node reach the other, and attach Pods of some kinds to it."""
    pods = {kind: spaces[f"{kind}-{name}"] for kind in kinds}
    _run(spaces[name], sys.executable, "-c", NODE, json.dumps([name, pods, NODES, way, f"{scratch}/{name}"]))


def _address(pid: int) -> str:
    shown = json.loads(_run(pid, "ip", "-j", "-4", "addr", "show", "eth0"))
    return str(shown[0]["addr_info"][0]["local"])


@contextlib.contextmanager
def serving(pid: int) -> Iterator[None]:
    with subprocess.Popen(
        _inside(pid, sys.executable, __file__, "--role", "serve"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def hurry() -> None:
    """Run before whatever else the host does."""
    with contextlib.suppress(OSError):  # where that is not allowed, a busy host decides
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def ask(pid: int, address: str, seconds: float) -> dict[str, float]:
    arguments = ("--role", "ask", "--address", address, "--seconds", str(seconds))
    found: dict[str, float] = json.loads(_run(pid, sys.executable, __file__, *arguments))
    return found


def serve() -> None:
    """Swallow streams, echo pings: the first byte of a connection says which."""
    server = socket.create_server(("", PORT))
    print("ready", flush=True)
    buffer = bytearray(1 << 20)
    while True:
        connection, _peer = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if connection.recv(1) == b"s":
                while connection.recv_into(buffer):
                    pass
            else:
                while data := connection.recv(64):
                    connection.sendall(data)


def stream(address: str, seconds: float) -> float:
    """Send for so long; returns Gbit/s."""
    block, sent = bytes(1 << 18), 0
    with socket.create_connection((address, PORT), timeout=5) as connection:
        connection.sendall(b"s")
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            connection.sendall(block)
            sent += len(block)
        return sent * 8 / (time.monotonic() - began) / 1e9


def ping(address: str) -> float:
    """Return the median time of a byte's way there and back, in microseconds."""
    times = []
    with socket.create_connection((address, PORT), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"p")
        for _ping in range(PINGS):
            began = time.perf_counter()
            connection.sendall(b"x")
            connection.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
