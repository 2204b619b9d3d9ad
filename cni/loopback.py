"""loopback: brings up `lo` in a container's network namespace."""

import socket

from cni import netlink, netns
from cni.skel import Args, Json


def add(args: Args) -> Json:
    """Bring lo up; a previous result passes through."""

    def bring_up() -> None:
        with netlink.Socket() as rtnetlink:
            rtnetlink.run(netlink.up(socket.if_nametoindex("lo")))

    with netns.opened(args.netns) as fd:
        netns.run(fd, bring_up)
    own = {
        "interfaces": [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": args.netns}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
        "routes": [],
        "dns": {},
    }
    return args.config.get("prevResult") or own


def delete(args: Args) -> None:
    """Nothing: lo goes with its namespace."""


def check(args: Args) -> None:
    """Fail if the namespace cannot be entered."""
    with netns.opened(args.netns) as fd:
        netns.run(fd, lambda: socket.if_nametoindex("lo"))


def gc(args: Args) -> None:
    """Nothing is kept."""


def status(args: Args) -> None:
    """Always ready."""
