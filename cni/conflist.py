"""The network configuration list of nanokube's own Pods. Pure, but for `remove_gateways`."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cni import netlink


def default(
    subnet: str, gateway_link: str, data_dir: Path, cluster_cidrs: Sequence[str] = (), mtu: int = 0
) -> dict[str, Any]:
    """Return the conflist of a node: routed links with host-local addresses, and host ports.

    subnet: the node's Pod range, `10.244.0.0/24`, or one of each family with a comma between; Pods have an
    address of each, in that order. A range's first address is the gateway, on gateway_link.
    cluster_cidrs: Pods of all nodes; what goes there keeps the Pod's address, everything else is masqueraded.
    mtu: of the Pods' links, in bytes; 0 is the kernel's default.
    data_dir: where leases and records of changed host settings are kept.
    """
    networks = [ipaddress.ip_network(each.strip()) for each in subnet.split(",")]
    return {
        "cniVersion": "1.1.0",
        "name": "nanokube",
        "plugins": [
            {
                "type": "ptp",
                "gatewayLink": gateway_link,
                "ipMasq": True,
                "deleteLink": False,  # our runtime drops the namespace after DEL, and the link with it
                "clusterCIDRs": list(cluster_cidrs),
                "mtu": mtu,
                "dataDir": str(data_dir),
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(data_dir / "leases"),
                    "ranges": [
                        [{"subnet": str(each), "gateway": str(each.network_address + 1)}] for each in networks
                    ],
                    "routes": [{"dst": "0.0.0.0/0" if each.version == 4 else "::/0"} for each in networks],
                },
            },
            {"type": "portmap", "dataDir": str(data_dir), "capabilities": {"portMappings": True}},
        ],
    }


def remove_gateways(link: str) -> None:
    """Remove the link with the gateways' addresses, if it is there: the next ADD makes it anew.

    They hide other nodes' Pods if the node's range is another now. Raises OSError.
    """
    with netlink.Socket() as socket:
        socket.run_if_exists(netlink.delete_link(link))
