"""One node of a lab from within: its namespaces, its disk, its link, and PID 1.

    hub ── fork ──> holder: new namespaces ── link moved in by the hub ── fork ──> PID 1

Whatever runs in the node ends with PID 1, as at a loss of power: that is how a node is killed. /etc and /var
are copies of the host's that the node alone changes, below DIR/files; /run is empty at each start, as after a
reboot. The rest of the file tree is the host's own.
"""

import hashlib
import os
import signal
import socket
from pathlib import Path
from typing import Never

from pyroute2 import IPRoute

from cri.linux import clone, mount, prctl
from nanokube.kit import links
from nanokube.lab import place

NAMESPACES = clone.CLONE_NEWNET | clone.CLONE_NEWNS | clone.CLONE_NEWUTS | clone.CLONE_NEWIPC


def hold(lab: place.Lab, node: place.Node, control: socket.socket) -> Never:
    """Become a node's holder. control: to the hub, is told "unshared", then "ready" or why not."""
    try:
        clone.unshare(NAMESPACES | clone.CLONE_NEWPID)
        control.sendall(b"unshared\n")
        if not control.recv(1):
            os._exit(1)
        pid = os.fork()
        if pid == 0:
            _init(lab, node, control)
        control.close()
        os.waitpid(pid, 0)
    except OSError as err:
        control.sendall(f"cannot make node {node.name}: {err}\n".encode())
    os._exit(1)


def _init(lab: place.Lab, node: place.Node, control: socket.socket) -> Never:
    """Be PID 1: reaps, and nothing else. Ends with its holder."""
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        _make_disk(lab.directory / "files" / node.name, node.name)
        socket.sethostname(node.name)
        _make_link(lab, node)
        control.sendall(b"ready\n")
        control.close()
        while True:
            signal.sigwait({signal.SIGCHLD})
            _reap()
    except Exception as err:
        control.sendall(f"cannot make node {node.name}: {err}\n".encode())
    os._exit(1)


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _make_disk(disk: Path, name: str) -> None:
    """Give the node file trees of its own; what it wrote before it was killed is there again."""
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    for each in ("etc/up", "etc/work", "var/up", "var/work", "lib"):
        (disk / each).mkdir(parents=True, exist_ok=True)
    # By descriptor: the disk may lie below a directory that is about to be covered.
    descriptor = os.open(disk, os.O_PATH | os.O_DIRECTORY)
    here = f"/proc/self/fd/{descriptor}"
    for tree in ("etc", "var"):
        layers = f"lowerdir=/{tree},upperdir={here}/{tree}/up,workdir={here}/{tree}/work"
        mount.mount("overlay", f"/{tree}", "overlay", data=layers)
    # Container roots are overlays, which cannot lie on one.
    Path("/var/lib/nanokube").mkdir(parents=True, exist_ok=True)
    mount.mount(f"{here}/lib", "/var/lib/nanokube", None, mount.MS_BIND)
    mount.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    mount.mount("proc", "/proc", "proc")
    os.close(descriptor)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_SHARED)  # as systemd leaves it
    Path("/etc/machine-id").write_text(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() + "\n")
    Path(place.CLOCK_FILE).write_text("0\n")


def _make_link(lab: place.Lab, node: place.Node) -> None:
    has_ipv6 = any(":" in each for each in node.addresses)
    Path(f"/proc/sys/net/ipv6/conf/{place.LINK}/disable_ipv6").write_text(f"{int(not has_ipv6)}\n")
    with links.Socket() as here:
        here.widen(place.LINK, place.LARGEST_PACKET)
    with IPRoute() as netlink:
        for name in ("lo", place.LINK):
            (index,) = netlink.link_lookup(ifname=name)
            netlink.link("set", index=index, state="up")
        for address in node.addresses:
            place_of_it = {"address": address, "prefixlen": lab.prefix_length(address)}
            flags = {"flags": place.NO_DAD} if ":" in address else {}
            netlink.addr("add", index=index, **place_of_it, **flags)
        for gateway in lab.gateways:
            family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
            netlink.route("add", dst="default", gateway=gateway, family=family)
