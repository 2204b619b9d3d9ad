"""The process that a lab hangs on: it holds the lab's network and disks, starts nodes, and takes them along.

    nanokube lab up ── python -m nanokube.lab.hub DIR ──> network and mount namespace, bridge, tmpfs
    orders over DIR/hub.sock, one JSON object a connection: {"do": "start", "node": "w1"}, "kill"

Single-threaded. Every process of a lab is its descendant and ends with it: the nodes' holders by the signal
of their parent's death, whatever else by the end of its PID namespace.
"""

import contextlib
import dataclasses
import json
import logging
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Never

from pyroute2 import IPRoute

from cri.linux import clone, mount, prctl
from nanokube.kit import links
from nanokube.kit import log as kit_log
from nanokube.lab import machine, place

log = logging.getLogger(__name__)

BRIDGE = "lan"
START_TIMEOUT_S = 10.0


class Hub:
    """A lab's running state: which nodes are on."""

    def __init__(self, lab: place.Lab) -> None:
        self._lab = dataclasses.replace(lab, hub=os.getpid())
        self._holders: dict[int, str] = {}  # pid -> node
        self._netlink = IPRoute()

    def prepare(self) -> None:
        """Make the network and the disks' place. Raises OSError."""
        files = self._lab.directory / "files"
        files.mkdir(exist_ok=True)
        mount.mount("tmpfs", os.fspath(files), "tmpfs", data="mode=700")
        self._netlink.link("add", ifname=BRIDGE, kind="bridge")
        has_ipv6 = any(":" in each for each in self._lab.gateways)
        Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6").write_text(f"{int(not has_ipv6)}\n")
        for name in ("lo", BRIDGE):
            self._netlink.link("set", index=self._index(name), state="up")
        for gateway in self._lab.gateways:
            flags = {"flags": place.NO_DAD} if ":" in gateway else {}
            address = {"address": gateway, "prefixlen": self._lab.prefix_length(gateway)}
            self._netlink.addr("add", index=self._index(BRIDGE), **address, **flags)
        place.save(self._lab)

    def run(self, server: socket.socket) -> Never:
        """Take orders until killed."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            selector.register(reader, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    if key.fileobj is server:
                        self._take(server)
                    else:
                        os.read(reader, 512)
                self._reap()

    def _take(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(START_TIMEOUT_S)
            try:
                order = json.loads(connection.makefile("rb").readline())
                answer = self._obey(order)
            except Exception as err:
                log.exception("order failed")
                answer = {"error": str(err)}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        node = self._lab.node(order["node"])
        if order["do"] == "start" and not node.pid:
            self._start(node)
        elif order["do"] == "kill" and node.pid:
            self._kill(node)
        return dataclasses.asdict(self._lab.node(node.name))

    def _start(self, node: place.Node) -> None:
        ours, theirs = socket.socketpair()
        hub = os.getpid()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            prctl.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() != hub:
                os._exit(1)
            ours.close()
            machine.hold(self._lab, node, theirs)
        theirs.close()
        self._holders[pid] = node.name
        with ours:
            ours.settimeout(START_TIMEOUT_S)
            lines = ours.makefile("rb")
            self._expect(lines.readline(), b"unshared\n")
            self._plug(node, pid)
            ours.sendall(b"g")
            self._expect(lines.readline(), b"ready\n")
        (init,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._note(node.name, int(init))
        log.info("node started: node=%s pid=%s", node.name, init)

    def _expect(self, line: bytes, wanted: bytes) -> None:
        if line != wanted:
            raise place.LabError(line.decode().strip() or "the node ended while it was made")

    def _plug(self, node: place.Node, pid: int) -> None:
        """Give the namespace of a process a link to the bridge; its port is called after the node."""
        peer = {"ifname": place.LINK, "net_ns_fd": f"/proc/{pid}/ns/net", "address": node.mac}
        self._netlink.link("add", ifname=node.name, kind="veth", peer=peer)
        with links.Socket() as here:
            here.widen(node.name, place.LARGEST_PACKET)
        self._netlink.link("set", index=self._index(node.name), master=self._index(BRIDGE), state="up")

    def _index(self, name: str) -> int:
        (index,) = self._netlink.link_lookup(ifname=name)
        return int(index)

    def _kill(self, node: place.Node) -> None:
        """Take the node's power away."""
        holder = next(pid for pid, name in self._holders.items() if name == node.name)
        os.kill(node.pid, signal.SIGKILL)
        os.waitpid(holder, 0)  # after PID 1, which is after all others
        self._end(holder)
        with contextlib.suppress(ValueError):  # the port went with its other end
            self._netlink.link("del", index=self._index(node.name))

    def _reap(self) -> None:
        for pid in list(self._holders):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._end(pid)

    def _end(self, holder: int) -> None:
        name = self._holders.pop(holder)
        self._note(name, 0)
        log.info("node ended: node=%s", name)

    def _note(self, name: str, pid: int) -> None:
        nodes = [
            dataclasses.replace(each, pid=pid) if each.name == name else each for each in self._lab.nodes
        ]
        self._lab = dataclasses.replace(self._lab, nodes=tuple(nodes))
        place.save(self._lab)


def main(directory: Path) -> Never:
    """Run the hub of the lab whose record is in directory."""
    if os.fork():
        os._exit(0)  # who made the lab does not wait for its end
    kit_log.set_up("INFO")
    lab = dataclasses.replace(place.read(directory), directory=directory)
    clone.unshare(clone.CLONE_NEWNET | clone.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    hub = Hub(lab)
    hub.prepare()
    path = directory / "hub.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen()
        print("ready", flush=True)
        hub.run(server)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
