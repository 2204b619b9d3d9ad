"""What a further server must have of the first: authorities, the key of tokens, settings; sealed for the way.

    token create --control-plane ── seal(bundle, key) ──> Secret nanokube-certs, gone with its token
    join --control-plane --certificate-key ── unseal ──> files in pki/, settings; its certificates it makes

The key travels with the join line, never through the API: who reads Secrets does not read the authorities.
Source: kubeadm app/phases/copycerts.
"""

import base64
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api.objects import Object
from nanokube.kit import files
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys, ranges
from nanokube.roles.discovery import JoinError

SECRET: Final = tokens.CERTIFICATES
FIELD: Final = "bundle"
# Below pki/; those that this cluster does not have are left out.
FILES: Final = (
    *("ca.crt", "ca.key", "sa.pub", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key"),
    *("etcd/ca.crt", "etcd/ca.key", encryption_keys.FILE),
)
# Settings that name a file anywhere on the first server; a further one keeps it in pki/store/.
FILE_SETTINGS: Final = ("etcd_ca", "etcd_cert", "etcd_key")
# Settings of one host.
OWN: Final = frozenset(
    [
        *("node_name", "node_ip", "node_pod_cidr", "kubelet_port", "cgroup_root", "bridge", "role", "joined"),
        *("root", "etcd_cluster"),
    ]
)
_NONCE_BYTES: Final = 12  # NIST SP 800-38D's length; a key seals one bundle only
_COPY: Final = "copy the whole line that `sudo nanokube token create --control-plane` prints on a server"


@dataclasses.dataclass(frozen=True, slots=True)
class Bundle:
    """settings: fields of NodeConfig that all servers share. files: content by the name below pki/.

    origin: address of the server that hands over.
    """

    origin: str
    settings: Mapping[str, Any]
    files: Mapping[str, bytes] = dataclasses.field(repr=False)


def collect(config: node_config.NodeConfig) -> Bundle:
    """Read what this server hands over. Raises OSError."""
    fields = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in OWN and field.name not in FILE_SETTINGS
    }
    found = {name: config.paths.pki / name for name in FILES}
    files = {name: path.read_bytes() for name, path in found.items() if path.exists()}
    for name in FILE_SETTINGS:
        if place := getattr(config, name, ""):
            files[f"store/{name}.pem"] = Path(place).read_bytes()
    return Bundle(config.first_node_ip, fields, files)


def new_key() -> bytes:
    """Draw a key for one bundle."""
    return AESGCM.generate_key(256)


def seal(bundle: Bundle, key: bytes) -> dict[str, Any]:
    """Build the Secret that carries a bundle."""
    files = {name: base64.b64encode(content).decode() for name, content in bundle.files.items()}
    content = json.dumps(
        {"origin": bundle.origin, "settings": dict(bundle.settings), "files": files}
    ).encode()
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, content, SECRET.encode())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": tokens.NAMESPACE},
        "type": "Opaque",
        "data": {FIELD: base64.b64encode(sealed).decode()},
    }


def unseal(secret: Object, key: str) -> Bundle:
    """Read a bundle. key: hexadecimal. Raises JoinError."""
    try:
        sealed = base64.b64decode(secret["data"][FIELD])
        content = AESGCM(bytes.fromhex(key)).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], SECRET.encode()
        )
    except (exceptions.InvalidTag, LookupError, ValueError) as err:
        cause = "the certificate key is wrong, or a newer line has replaced this one"
        raise JoinError(cause, _COPY) from err
    decoded = json.loads(content)
    files = {name: base64.b64decode(each) for name, each in decoded["files"].items()}
    return Bundle(decoded["origin"], decoded["settings"], files)


def settings_of(bundle: Bundle, config: node_config.NodeConfig) -> node_config.NodeConfig:
    """Return a further server's settings: those that all share, and its own. Raises JoinError."""
    known = {field.name for field in dataclasses.fields(config)} - OWN
    given = {name: value for name, value in bundle.settings.items() if name in known}
    for name in FILE_SETTINGS:
        if f"store/{name}.pem" in bundle.files:
            given[name] = str(config.paths.pki / f"store/{name}.pem")
    try:
        given["node_ip"] = ranges.fitting(config.node_ips, str(given.get("pod_cidr", config.pod_cidr)))
        return node_config.validate(dataclasses.replace(config, **given))
    except (ValueError, node_config.ConfigError, TypeError) as err:
        raise JoinError(f"cannot use the server's settings: {err}", "give both one version") from err


def write(bundle: Bundle, config: node_config.NodeConfig) -> None:
    """Write what was handed over. Raises OSError, JoinError for a file that has no business here."""
    allowed = {*FILES, *(f"store/{name}.pem" for name in FILE_SETTINGS)}
    if strange := set(bundle.files) - allowed:
        raise JoinError(
            f"cannot use what was handed over: {', '.join(sorted(strange))}", "give both one version"
        )
    for name, content in bundle.files.items():
        target = config.paths.pki / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_private(target, content)
