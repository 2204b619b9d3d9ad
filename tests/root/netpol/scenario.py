"""Pods under NetworkPolicies, in the network namespace that this is run in: the node.

Pods are namespaces with a link to it, as plugin ptp makes them; they talk by TCP and UDP, IPv4 and IPv6.
"""

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from cri.linux import nftables
from nanokube.netpol import plan, pods, policy, ruleset

TCP, UDP = "SOCK_STREAM", "SOCK_DGRAM"
WEB = {"matchLabels": {"app": "web"}}
# A Pod that reaches itself by a Service, which the proxy leads there.
SERVICE = """
table ip service {
  chain to { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 dnat to 10.244.0.2; }
  chain from {
    type nat hook postrouting priority srcnat; ip saddr . ip daddr { 10.244.0.2 . 10.244.0.2 } masquerade;
  }
}
"""
# Echoes at ports 80 and 81.
SERVER = """
    import selectors, socket
    known = selectors.DefaultSelector()
    for port in (80, 81):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(socket.AF_INET6, kind)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                server.listen(9)
            known.register(server, selectors.EVENT_READ, kind)
    print("ready", flush=True)
    while True:
        for found, _events in known.select():
            if found.data == socket.SOCK_STREAM:
                known.register(found.fileobj.accept()[0], selectors.EVENT_READ)
            elif found.data == socket.SOCK_DGRAM:
                found.fileobj.sendto(*found.fileobj.recvfrom(9))
            elif data := found.fileobj.recv(9):
                found.fileobj.send(data)
            else:
                known.unregister(found.fileobj)
                found.fileobj.close()
"""
# Asks once a line that it reads; prints the answer.
CLIENT = """
    import contextlib, socket, sys
    ip, port, kind = sys.argv[1:]
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with contextlib.suppress(TimeoutError), socket.socket(family, getattr(socket, kind)) as client:
        client.settimeout(0.5)
        client.connect((ip, int(port)))
        for line in sys.stdin:
            client.send(b"?")
            try:
                print(client.recv(9).decode(), flush=True)
            except TimeoutError:
                print("-", flush=True)
"""

Process = subprocess.Popen[str]
_started: list[Process] = []


def sh(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True)


def start(text: str, *args: str, inside: Process | None = None) -> Process:
    enter = ["nsenter", "-t", str(inside.pid), "-n"] if inside is not None else []
    command = [*enter, sys.executable, "-c", textwrap.dedent(text), *args]
    made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _started.append(made)
    return made


def say(client: Process) -> str:
    """Have a client ask; returns the answer, "-" if there is none."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("go\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


class Pod:
    """A Pod that serves."""

    def __init__(self, key: str, number: int, labels: dict[str, str]) -> None:
        self.key, self.labels = key, labels
        self.ips = f"10.244.0.{number}", f"fd00::{number}"
        command = ["unshare", "--net", sys.executable, "-c", "print(1, flush=True); input()"]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _started.append(self.holder)
        assert self.holder.stdout is not None
        self.holder.stdout.readline()
        self._attach(f"nk{number}")
        server = start(SERVER, inside=self.holder)
        assert server.stdout is not None
        server.stdout.readline()

    def _attach(self, link: str) -> None:
        pid, (ip, ip6) = self.holder.pid, self.ips
        sh(f"""
            ip link add {link} type veth peer name eth0 netns {pid}
            ip link set {link} up
            ip addr add fe80::1/64 dev {link} nodad
            ip addr add 169.254.1.1/32 dev {link}
            nsenter -t {pid} -n sh -ec '
                ip link set lo up
                ip addr add {ip}/32 dev eth0
                ip addr add {ip6}/128 dev eth0 nodad
                ip link set eth0 up
                ip route add 169.254.1.1 dev eth0
                ip route add default via 169.254.1.1
                ip -6 route add default via fe80::1 dev eth0'
            ip route add {ip} dev {link}
            ip -6 route add {ip6} dev {link}
        """)

    def seen(self) -> dict[str, Any]:
        """Return the Pod as the API has it."""
        namespace, _, name = self.key.partition("/")
        containers = [{"ports": [{"name": "web", "containerPort": 80}]}]
        return {
            "metadata": {"namespace": namespace, "name": name, "uid": self.key, "labels": self.labels},
            "spec": {"nodeName": "node", "containers": containers},
            "status": {"phase": "Running", "podIPs": [{"ip": ip} for ip in self.ips]},
        }


def asks(source: Pod | None, ip: str, port: int = 80, kind: str = TCP) -> Process:
    return start(CLIENT, ip, str(port), kind, inside=source.holder if source else None)


def reaches(source: Pod | None, target: Pod, port: int = 80, kind: str = TCP) -> bool:
    """Tell whether a Pod, or the node, gets an answer; the same in both families."""
    clients = [asks(source, ip, port, kind) for ip in target.ips]
    found = {"?" in each.communicate("go\n")[0] for each in clients}
    assert len(found) == 1, (source.key if source else "the node", target.key)
    return found.pop()


class Node:
    """The rules of the node, changed as the agent does it."""

    def __init__(self, *everyone: Pod) -> None:
        self.nft = nftables.Nftables()
        self.known = plan.Planner("node")
        for name in ("x", "y"):
            self.known.set_namespace(name, {"team": name})
        for each in everyone:
            self.known.set_pod(pods.read(each.seen()))
        self.shown = self.known.plan()
        self.rewrite()

    def rewrite(self) -> None:
        self.nft.run(ruleset.everything(self.shown))

    def apply(self) -> None:
        wanted = self.known.plan()
        for text in (ruleset.changes(self.shown, wanted), ruleset.removals(self.shown, wanted)):
            self.nft.run(text)
        self.shown = wanted

    def label(self, namespace: str, labels: dict[str, str]) -> None:
        self.known.set_namespace(namespace, labels)
        self.apply()

    def put(self, name: str, namespace: str = "x", **spec: Any) -> None:
        """Make or replace a policy; without anything, remove it."""
        wanted = {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, **spec}}
        self.known.set_policy(f"{namespace}/{name}", policy.read(wanted) if spec else None)
        self.apply()

    def table(self) -> str:
        return self.nft.run(f"list table {ruleset.TABLE}")


def ingress(node: Node, web: Pod, app: Pod, other: Pod) -> None:
    assert reaches(app, web)
    assert reaches(other, web)
    assert reaches(other, web, 81, UDP)
    kept, heard = asks(other, web.ips[0], 81), asks(other, web.ips[0], 81, UDP)
    assert say(kept) == say(heard) == "?"
    node.put("deny", ingress=[], policyTypes=["Ingress"])
    for refused in ((app, web), (other, web), (other, app), (other, web, 81, UDP)):
        assert not reaches(*refused)
    assert reaches(web, other), "answers come back"
    assert reaches(None, web), "the node reaches its Pods"
    assert reaches(None, web, 81, UDP)
    assert (say(kept), say(heard)) == ("?", "-"), "connections live on, UDP has none"

    from_app = {"podSelector": {"matchLabels": {"app": "app"}}}
    node.put("web", podSelector=WEB, ingress=[{"from": [from_app], "ports": [{"port": "web"}]}])
    assert reaches(app, web)
    assert not reaches(app, web, 81)
    assert not reaches(app, web, 80, UDP)
    assert not reaches(other, web)

    from_y = {"namespaceSelector": {"matchLabels": {"team": "y"}}}
    ports = [{"port": 70, "endPort": 80, "protocol": "UDP"}]
    node.put("web", podSelector=WEB, ingress=[{"from": [from_y], "ports": ports}])
    assert reaches(other, web, 80, UDP)
    assert not reaches(app, web, 80, UDP)
    assert not reaches(other, web)
    node.label("y", {"team": "z"})
    assert not reaches(other, web, 80, UDP)
    node.label("y", {"team": "y"})
    assert reaches(other, web, 80, UDP)


def egress(node: Node, web: Pod, app: Pod, other: Pod) -> None:
    to_web = {"to": [{"namespaceSelector": {}, "podSelector": WEB}], "ports": [{"port": "web"}]}
    node.put("out", "y", policyTypes=["Egress"], egress=[to_web])
    assert not reaches(other, web, 80, UDP), "no more than the sender may"
    assert not reaches(other, web), "nor more than the receiver"
    node.put("web", podSelector=WEB, ingress=[{}])
    assert reaches(other, web)
    assert not reaches(other, web, 81)
    node.put("deny")
    node.put("web")
    v4, v6 = {"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}
    but_web = [
        {"ipBlock": {**v4, "except": ["10.244.0.2/32"]}},
        {"ipBlock": {**v6, "except": ["fd00::2/128"]}},
    ]
    node.put("out", "y", policyTypes=["Egress"], egress=[{"to": but_web}])
    assert not reaches(other, web)
    assert reaches(other, app)
    assert reaches(web, other)
    node.put("out", "y", policyTypes=["Egress"], egress=[{"to": [{"ipBlock": v4}, {"ipBlock": v6}]}])
    assert reaches(other, web)


def oneself(node: Node, web: Pod, app: Pod) -> None:
    node.put("self", podSelector=WEB, policyTypes=["Ingress", "Egress"])
    node.nft.run(SERVICE)
    assert "?" in asks(web, "10.96.0.1").communicate("go\n")[0]
    assert "?" not in asks(app, "10.96.0.1").communicate("go\n")[0]


def leftovers(node: Node, web: Pod, app: Pod) -> None:
    node.rewrite()
    assert not reaches(app, web), "a restart keeps the rules"
    node.put("self")
    node.put("out", "y")
    assert reaches(app, web)
    for kind in ("jump", "chain from-", "chain to-", "set peers", "set named"):
        assert kind not in node.table()
    node.nft.run(ruleset.check())
    node.nft.run(ruleset.remove())
    with contextlib.suppress(nftables.NftablesError):
        raise AssertionError(node.nft.run(ruleset.check()))


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """End what was started."""
    try:
        yield
    finally:
        for each in reversed(_started):
            each.kill()
            each.wait()


def main() -> None:
    """Run all. Raises AssertionError."""
    sh("ip link set lo up; ip addr add fd00::1/128 dev lo nodad")
    sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    with ending():
        web = Pod("x/web", 2, {"app": "web"})
        app, other = Pod("x/app", 3, {"app": "app"}), Pod("y/other", 4, {})
        node = Node(web, app, other)
        ingress(node, web, app, other)
        egress(node, web, app, other)
        oneself(node, web, app)
        leftovers(node, web, app)


if __name__ == "__main__":
    main()
