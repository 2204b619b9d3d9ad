"""What one kubelet is told: its node, its places, its cluster. Pure."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from nanokube.kit import addresses

KUBELET_VERSION = "v1.36.0+nanokube"


@dataclasses.dataclass(frozen=True, slots=True)
class KubeletConfig:
    """One node's kubelet.

    node_ip, pod_cidr: one, or one of each family with a comma between; the first is of the primary family.
    address: where it serves; several with commas between.
    cri_socket: path of the CRI gRPC socket.
    cgroup_root: parent cgroup of all Pods, as passed to the runtime ("/nanokube/pods").
    capacity: overrides of detected capacity, quantities by resource name (tests, extended resources).
    pod_cidr: the range to register with; empty: the one that the cluster gives the node.
    client_certificate: file with certificate and key that the API knows the kubelet by. If it is given, the
        kubelet renews it by the API, and its server's, whose file is then both server_cert and server_key.
    volumes: where volumes of the cluster's own storage class are, a directory each.
    shutdown_grace_s: how long a shutdown of the host waits for Pods; 0: it does not. Of that the last
        shutdown_grace_critical_s are for critical Pods.
    reserved: held back from capacity to give allocatable.
    """

    node_name: str
    node_ip: str
    cri_socket: Path
    root: Path = Path("/var/lib/nanokube/kubelet")
    volumes: Path = Path("/var/lib/nanokube/volumes")
    pod_logs: Path = Path("/var/log/pods")
    cluster_dns: tuple[str, ...] = ("10.96.0.10",)
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    pod_cidr: str = "10.244.0.0/24"
    address: str = "0.0.0.0"
    port: int = 10250
    server_cert: Path | None = None
    server_key: Path | None = None
    client_ca: Path | None = None
    client_certificate: Path | None = None
    cgroup_root: str = "/nanokube/pods"
    max_pods: int = 110
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    capacity: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reserved: Mapping[str, str] = dataclasses.field(default_factory=dict)
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    node_status_check_s: float = 10.0
    node_status_report_s: float = 300.0
    lease_renew_s: float = 10.0
    lease_duration_s: int = 40
    relist_s: float = 10.0
    shutdown_grace_s: float = 0.0
    shutdown_grace_critical_s: float = 0.0
    log_max_bytes: int = 10 * 1024 * 1024
    log_max_files: int = 5

    @property
    def node_ips(self) -> tuple[str, ...]:
        """The node's address of each family, the primary first."""
        return addresses.split(self.node_ip)

    @property
    def first_ip(self) -> str:
        """The node's address of the primary family."""
        return self.node_ips[0]

    @property
    def pod_cidrs(self) -> tuple[str, ...]:
        """The range of each family to register with."""
        return addresses.split(self.pod_cidr)

    def pod_directory(self, uid: str) -> Path:
        """Return the directory of one Pod's volumes, hosts file and termination logs."""
        return self.root / "pods" / uid

    def pod_log_directory(self, namespace: str, name: str, uid: str) -> Path:
        """Return the directory of one Pod's container logs."""
        return self.pod_logs / f"{namespace}_{name}_{uid}"
