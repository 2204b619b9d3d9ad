"""What a lab is and where its files are: one folder, one record that its hub alone writes.

DIR/lab.json     nodes, their addresses, their first processes
DIR/faults.json  what is injected into which node
DIR/hub.sock     where the hub takes orders; hub.log what it says
DIR/files/       the nodes' disks: a tmpfs that only the lab's processes see, so that it ends with them
"""

import contextlib
import dataclasses
import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Any, Final, TypeAlias

from nanokube.kit import addresses, links

HOME: Final = Path("/run/nanokube-lab")
HOME_VARIABLE: Final = "NANOKUBE_LAB_HOME"
DEFAULT_NAME: Final = "lab"
# Nothing else is on a lab's network: any private range will do that is neither Pods' nor Services'.
SUBNETS: Final = {
    "ipv4": "10.213.0.0/24",
    "ipv6": "fd00:10:213::/64",
    "dual": "10.213.0.0/24,fd00:10:213::/64",
}
SUBNET: Final = SUBNETS["ipv4"]
# Options of `up` beside its own ranges, which are of IPv4.
RANGES: Final = {
    "ipv4": (),
    "ipv6": ("--pod-cidr", "fd00:10:244::/56", "--service-cidr", "fd00:10:96::/112"),
    "dual": (
        *("--pod-cidr", "10.244.0.0/16,fd00:10:244::/56"),
        *("--service-cidr", "10.96.0.0/16,fd00:10:96::/112"),
    ),
}
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?")
LINK: Final = "eth0"  # in each node
CLOCK_FILE: Final = "/run/nanokube-lab-clock"  # in each node
SERVER, WORKER = "server", "worker"
FIRST_HOST: Final = 10  # the first node's address in the range; the network itself has the first one
# Of packets on the lab's links: Pods may use as much where all ways of a node do (nanokube/podnet).
LARGEST_PACKET: Final = links.Sizes(196608, 196608)
MOST_NODES: Final = 100
NO_DAD: Final = 2  # IFA_F_NODAD: addresses of IPv6 are used at once, the lab gives each only once


class LabError(RuntimeError):
    """The lab cannot do it; the message says why. hint: what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class LabIsThereError(LabError):
    """A lab of this name runs: it is not the caller's to end."""


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One node. address: one, or one of each family with a comma between.

    pid: its first process, as the host numbers it; 0 while it is off.
    """

    name: str
    role: str
    address: str
    mac: str
    pid: int = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        return addresses.split(self.address)


@dataclasses.dataclass(frozen=True, slots=True)
class Lab:
    """A lab. hub: the process that holds its network and its nodes.

    subnet: CIDR of its network, or one of each family with a comma between.
    """

    name: str
    directory: Path
    subnet: str = SUBNET
    hub: int = 0
    nodes: tuple[Node, ...] = ()

    def node(self, name: str) -> Node:
        """Return a node. Raises LabError."""
        for each in self.nodes:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.nodes)
        raise LabError(f"lab {self.name} has no node {name}", f"it has {known}")

    def cgroup_root(self, node: str) -> str:
        """Name the cgroup of a node's Pods: one word, and no other lab's."""
        return f"{cgroup_prefix(self.name)}{node}"

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(each) for each in addresses.split(self.subnet))

    @property
    def ip_family(self) -> str:
        """One of SUBNETS: which families its nodes and its cluster have."""
        return "dual" if len(self.networks) > 1 else f"ipv{self.networks[0].version}"

    @property
    def gateways(self) -> tuple[str, ...]:
        """The network's own addresses, which lead nowhere."""
        return tuple(str(each[1]) for each in self.networks)

    def prefix_length(self, address: str) -> int:
        """Return the length of the network that an address is in."""
        family = addresses.family(address)
        return next(each.prefixlen for each in self.networks if each.version == family)


def cgroup_prefix(lab: str) -> str:
    """What the names of all cgroups of a lab begin with. Names of labs have no underscore."""
    return f"nklab_{lab}_"


def plan(name: str, directory: Path, servers: int, workers: int, subnet: str = SUBNET) -> Lab:
    """Decide names and addresses. Raises LabError. Pure.

    >>> [node.name for node in plan("x", Path("/x"), 1, 2).nodes]
    ['s1', 'w1', 'w2']
    """
    if not NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot name a lab", "use lower-case letters, digits and dashes")
    if workers < 0:
        raise LabError(f"of {servers + workers} nodes {servers} cannot be servers")
    if servers < 1 or servers + workers > MOST_NODES:
        raise LabError(f"a lab has 1 to {MOST_NODES} nodes, at least one a server")
    networks = _networks(subnet)
    if any(each.num_addresses < FIRST_HOST + servers + workers + 1 for each in networks):
        raise LabError(f"the range {subnet} is too small for {servers + workers} nodes")
    names = [(f"s{i + 1}", SERVER) for i in range(servers)] + [(f"w{i + 1}", WORKER) for i in range(workers)]
    nodes = tuple(
        Node(
            node,
            role,
            ",".join(str(each[FIRST_HOST + i]) for each in networks),
            f"02:6e:6b:00:00:{i + 1:02x}",
        )
        for i, (node, role) in enumerate(names)
    )
    return Lab(name, directory, subnet, nodes=nodes)


def _networks(text: str) -> tuple[Network, ...]:
    try:
        found = tuple(ipaddress.ip_network(each) for each in addresses.split(text))
    except ValueError as err:
        raise LabError(f"cannot use the range {text!r}: {err}") from err
    if len({each.version for each in found}) != len(found) or not found:
        raise LabError(f"cannot use the range {text!r}: one is needed, or one of each family")
    return found


def home() -> Path:
    """Return the folder of all labs."""
    return Path(os.environ.get(HOME_VARIABLE) or HOME)


def load(name: str) -> Lab:
    """Read a lab's record. Raises LabError if there is none."""
    return read(home() / name)


def read(directory: Path) -> Lab:
    """Read the record in a lab's folder. Raises LabError if there is none."""
    file = directory / "lab.json"
    try:
        fields: dict[str, Any] = json.loads(file.read_bytes())
        nodes = tuple(Node(**each) for each in fields["nodes"])
        return Lab(fields["name"], directory, fields["subnet"], fields["hub"], nodes)
    except FileNotFoundError as err:
        raise LabError(f"there is no lab called {directory.name}", "make it: `sudo nanokube lab up`") from err
    except (ValueError, LookupError, TypeError) as err:
        raise LabError(f"cannot read {file}: {err}", "end the lab: `sudo nanokube lab down`") from err


def save(lab: Lab) -> None:
    """Write the record, atomically; for the hub."""
    fields = dataclasses.asdict(lab)
    del fields["directory"]
    _replace(lab.directory / "lab.json", fields)


def load_faults(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return what is injected, by node."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        found: dict[str, dict[str, Any]] = json.loads((lab.directory / "faults.json").read_bytes())
        return found
    return {}


def save_faults(lab: Lab, faults: dict[str, dict[str, Any]]) -> None:
    """Note what is injected."""
    _replace(lab.directory / "faults.json", faults)


def _replace(file: Path, content: object) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(file)
