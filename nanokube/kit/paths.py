"""Where nanokube keeps its files. Pure: it names paths and opens none."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """All paths of one node, below root: `/` on a host, a temporary directory in tests."""

    root: Path = Path("/")

    @property
    def etc(self) -> Path:
        return self.root / "etc/nanokube"

    @property
    def pki(self) -> Path:
        return self.etc / "pki"

    @property
    def lib(self) -> Path:
        return self.root / "var/lib/nanokube"

    @property
    def run(self) -> Path:
        return self.root / "run/nanokube"

    @property
    def log(self) -> Path:
        return self.root / "var/log/nanokube"

    @property
    def pod_logs(self) -> Path:
        return self.root / "var/log/pods"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.etc / "admin.conf"

    def kubeconfig(self, component: str) -> Path:
        """Return the kubeconfig of one component: `manager`, `agent`."""
        return self.etc / f"{component}.conf"

    @property
    def store(self) -> Path:
        return self.lib / "store"

    @property
    def etcd(self) -> Path:
        return self.lib / "etcd"

    @property
    def cri_lib(self) -> Path:
        return self.lib / "cri"

    @property
    def cri_run(self) -> Path:
        return self.run / "cri"

    @property
    def cri_socket(self) -> Path:
        return self.run / "cri.sock"

    @property
    def kubelet(self) -> Path:
        return self.lib / "kubelet"

    @property
    def volumes(self) -> Path:
        return self.lib / "volumes"

    @property
    def cni(self) -> Path:
        return self.lib / "cni"
