"""Names and hardware addresses of Pods' links. Pure.

All are derived, so that a repeated call finds what the first one made.
"""

import hashlib

from cni import netlink
from cni.skel import Attachment


def port_prefix(network: str) -> str:
    """Return what the host's ends of a network's links are called at the beginning, for rules to match."""
    return f"nk{hashlib.sha256(network.encode()).hexdigest()[:4]}"


def mac_of(ip: netlink.Address) -> bytes:
    """Return the MAC of an address: locally administered, unique as the last 32 bits of it are."""
    return b"\x0a\x58" + ip.packed[-4:]


class Link:
    """Names and MAC of one attachment."""

    def __init__(self, owner: Attachment, prefix: str, ip: netlink.Address) -> None:
        """prefix: port_prefix() of the network. ip: the first of the attachment's addresses."""
        self.owner = owner
        digest = hashlib.sha256(f"{owner.container_id}\0{owner.ifname}".encode()).hexdigest()
        self.host = prefix + digest[:8]
        self.mac = mac_of(ip)
        self.mac_text = self.mac.hex(":")
