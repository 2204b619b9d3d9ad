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
from typing import Any, Final

HOME: Final = Path("/run/nanokube-lab")
HOME_VARIABLE: Final = "NANOKUBE_LAB_HOME"
DEFAULT_NAME: Final = "lab"
# Nothing else is on a lab's network: any private range will do that is neither Pods' nor Services'.
SUBNET: Final = "10.213.0.0/24"
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?")
LINK: Final = "eth0"  # in each node
CLOCK_FILE: Final = "/run/nanokube-lab-clock"  # in each node
SERVER, WORKER = "server", "worker"
FIRST_HOST: Final = 10  # the first node's address in the range; the network itself has the first one
MOST_NODES: Final = 100


class LabError(RuntimeError):
    """The lab cannot do it; the message says why. hint: what helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One node. pid: its first process, as the host numbers it; 0 while it is off."""

    name: str
    role: str
    address: str
    mac: str
    pid: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Lab:
    """A lab. hub: the process that holds its network and its nodes. subnet: CIDR of its network."""

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
    def prefix_length(self) -> int:
        return ipaddress.ip_network(self.subnet).prefixlen

    @property
    def gateway(self) -> str:
        """The network's own address, which leads nowhere."""
        return str(ipaddress.ip_network(self.subnet)[1])


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
    if not servers or servers + workers > MOST_NODES:
        raise LabError(f"a lab has 1 to {MOST_NODES} nodes, at least one a server")
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as err:
        raise LabError(f"cannot use the range {subnet!r}: {err}") from err
    if network.num_addresses < FIRST_HOST + servers + workers + 1:
        raise LabError(f"the range {subnet} is too small for {servers + workers} nodes")
    names = [(f"s{i + 1}", SERVER) for i in range(servers)] + [(f"w{i + 1}", WORKER) for i in range(workers)]
    nodes = tuple(
        Node(node, role, str(network[FIRST_HOST + i]), f"02:6e:6b:00:00:{i + 1:02x}")
        for i, (node, role) in enumerate(names)
    )
    return Lab(name, directory, subnet, nodes=nodes)


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
