"""kubeconfig files: which server, which credentials.

Source: client-go tools/clientcmd/api/v1/types.go.
"""

import base64
import dataclasses
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nanokube.kit import tls


class KubeconfigError(ValueError):
    """The kubeconfig cannot be used; the message names the file and the entry."""


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """How to reach one server as one user. Certificates and keys are PEM bytes, empty when absent."""

    server: str
    ca: bytes = b""
    client_certificate: bytes = dataclasses.field(default=b"", repr=False)
    client_key: bytes = dataclasses.field(default=b"", repr=False)
    token: str = dataclasses.field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    namespace: str = "default"
    server_name: str = ""
    insecure: bool = False

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the TLS client context; None for a plain http server. Reads and writes a private file."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            tls.load_pair(context, self.client_certificate, self.client_key)
        return context


def load(path: Path, *, context: str = "") -> Access:
    """Read a kubeconfig and choose a context (by default its current-context).

    Raises KubeconfigError when it is not a kubeconfig or names something it lacks, OSError when unreadable.
    """
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError as err:
        raise KubeconfigError(f"cannot parse kubeconfig {path}: {err}") from err
    if not isinstance(config, dict):
        raise KubeconfigError(f"cannot read kubeconfig {path}: it is not a mapping")
    try:
        return parse(config, base=path.parent, context=context)
    except KubeconfigError as err:
        raise KubeconfigError(f"cannot use kubeconfig {path}: {err}") from err


def parse(config: Mapping[str, Any], *, base: Path, context: str = "") -> Access:
    """Choose a context of a parsed kubeconfig; relative file names are below base."""
    chosen = _named(config, "contexts", "context", context or config.get("current-context") or "")
    cluster = _named(config, "clusters", "cluster", chosen.get("cluster", ""))
    user = _named(config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    token_file = user.get("tokenFile")
    return Access(
        server=str(cluster.get("server", "")).rstrip("/"),
        ca=_material(cluster, "certificate-authority", base),
        client_certificate=_material(user, "client-certificate", base),
        client_key=_material(user, "client-key", base),
        token=user.get("token", ""),
        token_file=base / token_file if token_file else None,
        username=user.get("username", ""),
        password=user.get("password", ""),
        namespace=chosen.get("namespace") or "default",
        server_name=cluster.get("tls-server-name", ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def files(path: Path) -> set[Path]:
    """Name a kubeconfig and the files of credentials that it refers to. Raises as load does."""
    config = yaml.safe_load(path.read_text()) or {}
    users = [entry.get("user") or {} for entry in config.get("users") or ()]
    names = [user.get(field) for user in users for field in ("client-certificate", "client-key")]
    return {path, *(path.parent / name for name in names if name)}


def _named(config: Mapping[str, Any], section: str, field: str, name: str) -> Mapping[str, Any]:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            return entry.get(field) or {}
    raise KubeconfigError(f"no entry {name!r} in {section}")


def _material(entry: Mapping[str, Any], field: str, base: Path) -> bytes:
    """Give PEM bytes from `<field>-data` (base64) or from the file `<field>` names."""
    if data := entry.get(f"{field}-data"):
        return base64.b64decode(data)
    if name := entry.get(field):
        return Path(base, name).read_bytes()
    return b""
