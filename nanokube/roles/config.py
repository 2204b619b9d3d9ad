"""What one node was told when it was brought up: addresses, names, ranges. Pure, but for load and save.

`nanokube up` writes it once below /etc/nanokube; every role reads it at start. Ranges and the node's address
are one or two with a comma between, IPv4 and IPv6: the first is of the cluster's primary family.
"""

import dataclasses
import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path

from nanokube.api.validation import names
from nanokube.controllers import address_pool
from nanokube.kit import addresses, paths
from nanokube.roles import audit, ranges
from nanokube.storage.etcd import settings

FILE = "node.json"
# What objects in the store were made with: it stays as it is for the cluster's life.
FIXED = ("pod_cidr", "node_pod_cidr", "service_cidr", "cluster_domain")
# What every node of a cluster must know of it: published for those that join.
SHARED = ("pod_cidr", "service_cidr", "cluster_domain", "node_grace_s")
SERVER, WORKER = "server", "worker"
LEAST_NODE_GRACE_S = 15.0  # kubelets renew their Leases every 10 s
ETCD = "etcd"  # as store: the one that runs beside each server
# "system:node:" and it are a certificate's common name, of 64 characters at most (RFC 5280, ub-common-name).
NODE_NAME_LIMIT = 64 - len("system:node:")
# `down` ends whatever runs below this cgroup: it must be a child of the root that is ours alone.
CGROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class ConfigError(ValueError):
    """A setting that cannot work; the message names the setting and its value."""


@dataclasses.dataclass(frozen=True, slots=True)
class NodeConfig:
    """Settings of a node. Ranges are CIDR notation; ports are TCP.

    node_ip, pod_cidr, node_pod_cidr, service_cidr: one, or one of each family with a comma between; the
    properties node_ips, pod_cidrs, … are their parts.
    node_mask_bits, node_mask_bits_ipv6: the size of the range that a node gets of the Pods'.
    store: where objects are: "" SQLite, ETCD the etcd that nanokube runs, else the URLs of an etcd cluster.
    etcd_ca, etcd_cert, etcd_key: files by which that cluster is known, and knows us.
    etcd_prefix: what stands before every key there, "" or "/name".
    audit: options of auditing by their names, see nanokube.apiserver.audit.settings; empty for none.
    etcd_cluster: the members that this node's etcd was added to; empty for the first.
    load_balancer_pool: addresses that Services of type LoadBalancer get, as ranges with commas between.
    role: SERVER runs the control plane beside the agent, WORKER the agent alone.
    joined: URL of the server by which this host joined; empty on the first.
    balancer_port: where a worker's agent forwards to whichever server answers, on loopback.
    shutdown_grace_s: how long a shutdown of the host waits for Pods to end, of which the last
    shutdown_grace_critical_s are for critical Pods; 0: it does not wait.
    node_grace_s: how long a node may be silent before its Pods are taken for lost.
    node_pod_cidr: empty on a host that joined: it gets its range from the cluster.
    """

    node_name: str
    node_ip: str
    api_port: int = 6443
    kubelet_port: int = 10250
    balancer_port: int = 6444
    pod_cidr: str = "10.244.0.0/16"
    node_pod_cidr: str = "10.244.0.0/24"
    service_cidr: str = "10.96.0.0/16"
    node_mask_bits: int = 24
    node_mask_bits_ipv6: int = 64
    load_balancer_pool: str = ""
    cluster_domain: str = "cluster.local"
    cgroup_root: str = "nanokube"
    bridge: str = "nk0"
    store: str = ""
    etcd_ca: str = ""
    etcd_cert: str = ""
    etcd_key: str = ""
    etcd_prefix: str = ""
    etcd_client_port: int = 2379
    etcd_peer_port: int = 2380
    etcd_cluster: str = ""
    role: str = SERVER
    joined: str = ""
    shutdown_grace_s: float = 0.0
    shutdown_grace_critical_s: float = 0.0
    node_grace_s: float = 40.0
    audit: Mapping[str, str] = dataclasses.field(default_factory=dict)
    root: Path = Path("/")

    @property
    def is_worker(self) -> bool:
        """The control plane is on other hosts."""
        return self.role == WORKER

    @property
    def paths(self) -> paths.Paths:
        return paths.Paths(self.root)

    @property
    def pod_cidrs(self) -> tuple[str, ...]:
        """The Pods' range of each family, the primary first."""
        return addresses.split(self.pod_cidr)

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        """The Services' range of each family, the primary first."""
        return addresses.split(self.service_cidr)

    @property
    def node_ips(self) -> tuple[str, ...]:
        """The node's address of each family, the primary first."""
        return addresses.split(self.node_ip)

    @property
    def first_node_ip(self) -> str:
        """The node's address of the primary family; in URLs through `addresses.bracketed`."""
        return self.node_ips[0]

    @property
    def kubernetes_ip(self) -> str:
        """The ClusterIP of the `kubernetes` Service, of the primary family: the first of the range."""
        return str(ipaddress.ip_network(self.service_cidrs[0])[1])

    @property
    def dns_ips(self) -> tuple[str, ...]:
        """The addresses of the cluster's DNS, the primary first: the tenth of each range, as everywhere."""
        return tuple(str(ipaddress.ip_network(each)[10]) for each in self.service_cidrs)

    @property
    def dns_ip(self) -> str:
        """The address of the cluster's DNS of the primary family."""
        return self.dns_ips[0]

    @property
    def server(self) -> str:
        """Where the components of this node reach the apiserver."""
        return f"https://127.0.0.1:{self.balancer_port if self.is_worker else self.api_port}"

    @property
    def public_server(self) -> str:
        """The URL at which other hosts reach this server; empty if they cannot."""
        if ipaddress.ip_address(self.first_node_ip).is_loopback:
            return ""
        return f"https://{addresses.host_port(self.first_node_ip, self.api_port)}"


def validate(config: NodeConfig) -> NodeConfig:
    """Return config if its parts fit together. Raises ConfigError."""
    _validate_role(config)
    if not config.node_ips:
        raise ConfigError("the node's address is empty: give it with --node-ip")
    try:
        ranges.validate(config.pod_cidr, config.node_pod_cidr, config.service_cidr, config.node_ips)
    except ranges.RangeError as err:
        raise ConfigError(str(err)) from err
    if not (16 <= config.node_mask_bits <= 30 and 48 <= config.node_mask_bits_ipv6 <= 126):
        raise ConfigError(
            f"node ranges of /{config.node_mask_bits} and /{config.node_mask_bits_ipv6} cannot be given:"
            " they are from /16 to /30, of IPv6 from /48 to /126"
        )
    for name in ("api_port", "kubelet_port", "balancer_port", "etcd_client_port", "etcd_peer_port"):
        if not 0 < getattr(config, name) < 65536:
            raise ConfigError(f"{name.replace('_', ' ')} {getattr(config, name)} is not a port")
    if not 0 <= config.shutdown_grace_critical_s <= config.shutdown_grace_s:
        raise ConfigError(
            f"of {config.shutdown_grace_s:g} s at a shutdown"
            f" critical Pods cannot have {config.shutdown_grace_critical_s:g} s"
        )
    if not LEAST_NODE_GRACE_S <= config.node_grace_s <= 3600:
        raise ConfigError(
            f"a grace period of {config.node_grace_s:g} s for nodes cannot be given: it is from"
            f" {LEAST_NODE_GRACE_S:g} to 3600 s, as nodes are heard of every 10 s"
        )
    _validate_pool(config.load_balancer_pool)
    _validate_store(config)
    try:
        audit.parse(config.audit)
    except audit.AuditError as err:
        raise ConfigError(str(err)) from err
    if config.api_port == config.kubelet_port:
        raise ConfigError(f"api port and kubelet port are both {config.api_port}")
    if len(config.node_name) > NODE_NAME_LIMIT or list(names.dns_subdomain(config.node_name)):
        raise ConfigError(
            f"node name {config.node_name!r} cannot be used: it must be a-z, 0-9, - and . alone, begin and"
            f" end with a letter or digit, {NODE_NAME_LIMIT} characters at most; give one by --node-name"
        )
    if not CGROUP_NAME.fullmatch(config.cgroup_root):
        raise ConfigError(f"cgroup root {config.cgroup_root!r} is not one word of letters, digits, - and _")
    return config


def _validate_role(config: NodeConfig) -> None:
    if config.role not in (SERVER, WORKER):
        raise ConfigError(f"role {config.role!r} is neither {SERVER} nor {WORKER}")
    if config.is_worker and not config.joined:
        raise ConfigError("a worker needs the server that it joined")
    if not config.joined and not config.node_pod_cidr:
        raise ConfigError("the first server's node needs a pod range of its own")


def _validate_pool(text: str) -> None:
    try:
        address_pool.parse(text)
    except ValueError as err:
        raise ConfigError(f"load balancer pool {text!r} cannot be used: {err}") from err


def _validate_store(config: NodeConfig) -> None:
    if config.store in ("", ETCD):
        if config.etcd_ca or config.etcd_cert or config.etcd_key or config.etcd_prefix:
            raise ConfigError("options of an etcd cluster need --store with its address")
        return
    try:
        settings.parse(
            config.store,
            ca=Path(config.etcd_ca) if config.etcd_ca else None,
            cert=Path(config.etcd_cert) if config.etcd_cert else None,
            key=Path(config.etcd_key) if config.etcd_key else None,
            prefix=config.etcd_prefix,
        )
    except ValueError as err:
        raise ConfigError(str(err)) from err


def load(place: paths.Paths) -> NodeConfig | None:
    """Read the node's settings; None if none were saved. Raises ConfigError on a damaged file."""
    return _load(place, place.etc / FILE)


def load_running(place: paths.Paths) -> NodeConfig | None:
    """Read what the node was last started with; None since a restart of the host. Raises ConfigError."""
    return _load(place, place.run / FILE)


def _load(place: paths.Paths, file: Path) -> NodeConfig | None:
    try:
        fields = json.loads(file.read_bytes())
        return validate(NodeConfig(**{**fields, "root": place.root}))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as err:
        raise ConfigError(f"cannot read {file}: {err}") from err


def save(config: NodeConfig) -> None:
    """Write the node's settings, atomically."""
    _save(config, config.paths.etc)


def save_running(config: NodeConfig) -> None:
    """Note what the node starts with, so that it can be stopped though its settings were lost."""
    _save(config, config.paths.run)


def _save(config: NodeConfig, directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fields = dataclasses.asdict(config)
    del fields["root"]
    temporary = directory / f"{FILE}.tmp"
    temporary.write_text(json.dumps(fields, indent=2) + "\n")
    temporary.replace(directory / FILE)
