"""What the API server is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nanokube.apiserver.audit.settings import AuditSettings
from nanokube.storage.etcd.settings import EtcdSettings

API_AUDIENCE = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class ApiServerConfig:
    """Addresses, keys and places. Files are PEM.

    advertise_address: the IP at which Pods reach this server, the endpoint of Service default/kubernetes.
    bind_address, service_cidr, dns_ip: one, or one of each family with a comma between, the primary first.
    store: SQLite file, or an etcd cluster; None keeps everything in memory.
    encryption: EncryptionConfiguration (YAML) of values at rest, followed; it may come later.
    service_account_public_key: verifies tokens; the private key signs them (ECDSA P-256).
    kubelet_*: client certificate and CA for connections to kubelets (logs, exec, proxy).
    front_proxy_*: the authority of proxies that name users in header fields, and our certificate of it, for
        extension servers.
    audit: which requests are recorded, and where; None records nothing and costs nothing.
    token_file: CSV lines "token,user,uid[,"group1,group2"]" of static bearer tokens.
    """

    advertise_address: str
    tls_cert: Path
    tls_key: Path
    client_ca: Path
    service_account_public_key: Path
    service_account_private_key: Path
    bind_address: str = "0.0.0.0"
    port: int = 6443
    store: Path | EtcdSettings | None = None
    encryption: Path | None = None
    service_cidr: str = "10.96.0.0/16"
    dns_ip: str = "10.96.0.10"
    node_port_range: tuple[int, int] = (30000, 32767)
    kubelet_client_cert: Path | None = None
    kubelet_client_key: Path | None = None
    kubelet_ca: Path | None = None
    front_proxy_ca: Path | None = None
    front_proxy_cert: Path | None = None
    front_proxy_key: Path | None = None
    token_file: Path | None = None
    audit: AuditSettings | None = None
    issuer: str = API_AUDIENCE
    log_level: str = "INFO"
