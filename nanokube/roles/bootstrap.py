"""The credentials a cluster starts with: authority, certificates, kubeconfigs, written once and renewed.

Source: Kubernetes' "PKI certificates and requirements"; kubeadm's names for the files.
"""

import asyncio
import base64
import datetime
import ipaddress
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Never

import yaml

from nanokube.kit import clock, files, pki, tasks
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys
from nanokube.storage.encryption import prefix
from nanokube.storage.sqlite import copy

log = logging.getLogger(__name__)

CLUSTER = "nanokube"
RENEWAL_CHECK_S = 3600.0
# A worker's two certificates, each in one file with its key; its kubelet renews them by the API.
KUBELET_CLIENT = "kubelet-client.pem"
KUBELET_SERVING = "kubelet-serving.pem"


class CredentialError(ValueError):
    """A file that cannot be made anew unnoticed is damaged; the message names it and the remedy."""


AUTHORITY_NAME = "kubernetes"
# Who tells extension servers, in header fields, who makes a request; an authority apart from that of clients.
FRONT_PROXY_AUTHORITY = "front-proxy-ca"
FRONT_PROXY_CLIENT = "front-proxy-client"


async def keep_credentials(config: node_config.NodeConfig, time: clock.Clock = clock.SYSTEM) -> Never:
    """Renew a server's credentials long before their end, until cancelled; users follow the files."""

    async def look() -> None:
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        for name in await asyncio.to_thread(ensure_credentials, config, now):
            log.info("credential renewed: name=%s", name)

    await tasks.every(RENEWAL_CHECK_S, look, name="credentials")


def ensure_credentials(
    config: node_config.NodeConfig, now: datetime.datetime, *, renew: Collection[str] = ()
) -> list[str]:
    """Make every certificate, key and kubeconfig that is missing, foreign or soon to expire.

    renew: names of certificates to be made anew though they would last.
    Returns the names of what was made. What clients and tokens trust is always kept: the keys of authorities
    and of service accounts. Raises CredentialError if one of these is damaged, OSError.
    """
    directory = config.paths.pki
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[str] = []
    authority = ensure_authority(directory, AUTHORITY_NAME, now, made, renew="ca" in renew)
    _ensure_signing_pair(directory, made)
    _ensure_encryption(config, now, made)
    for name, subject in _subjects(config).items():
        if ensure_pair(directory, name, subject, authority, now, renew=name in renew):
            made.append(name)
    name = FRONT_PROXY_AUTHORITY
    proxies = ensure_authority(directory, name, now, made, file=name, renew=name in renew)
    subject, renews = pki.Subject(FRONT_PROXY_CLIENT), FRONT_PROXY_CLIENT in renew
    if ensure_pair(directory, FRONT_PROXY_CLIENT, subject, proxies, now, renew=renews):
        made.append(FRONT_PROXY_CLIENT)
    _ensure_kubeconfigs(config, authority, made)
    return made


def _subjects(config: node_config.NodeConfig) -> dict[str, pki.Subject]:
    node = f"system:node:{config.node_name}"
    services = [f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc")]
    serving = (
        *services,
        f"kubernetes.default.svc.{config.cluster_domain}",
        "localhost",
        config.node_name,
        "127.0.0.1",
        *(str(ipaddress.ip_network(each)[1]) for each in config.service_cidrs),
        *config.node_ips,
    )
    return {
        "apiserver": pki.Subject("kube-apiserver", names=tuple(dict.fromkeys(serving))),
        "apiserver-kubelet-client": pki.Subject("kube-apiserver-kubelet-client", ("system:masters",)),
        "admin": pki.Subject("kubernetes-admin", ("system:masters",)),
        "controller-manager": pki.Subject("system:kube-controller-manager"),
        "scheduler": pki.Subject("system:kube-scheduler"),
        "proxy": pki.Subject("system:kube-proxy", ("system:node-proxier",)),
        "kubelet": pki.Subject(node, ("system:nodes",)),
        "kubelet-server": pki.Subject(node, ("system:nodes",), (config.node_name, *config.node_ips)),
    }


def ensure_pair(
    directory: Path,
    name: str,
    subject: pki.Subject,
    authority: pki.Authority,
    now: datetime.datetime,
    *,
    renew: bool = False,
) -> bool:
    """Make a certificate with its key if it is missing, foreign or soon to expire; tell whether it was."""
    pair = _read_pair(directory, name)
    if not renew and pair is not None and authority.vouches_for(pair, subject, now):
        return False
    _write_pair(directory, name, authority.issue(subject, now))
    return True


def ensure_authority(
    directory: Path,
    name: str,
    now: datetime.datetime,
    made: list[str],
    *,
    file: str = "ca",
    renew: bool = False,
) -> pki.Authority:
    """Read a directory's authority; make or renew it, and say so in made. Raises CredentialError.

    A renewed one has the same key: what it signed, and who trusts the former one, are served as before.
    """
    pair = _read_pair(directory, file)
    if pair is not None:
        try:
            known = pki.Authority(pair)
            if not renew and not known.is_due(now):
                return known
            authority = known.renewed(now)
            files.write_private(directory / f"{file}.crt", authority.pair.certificate)
            made.append(file)
            return authority
        except ValueError as err:
            consequence = "every kubeconfig in use must be replaced"
            if file != "ca":
                consequence = "what it signed is made anew"
            raise _damaged(directory, file, f"{file}.crt", consequence) from err
    authority = pki.Authority.create(name, now)
    _write_pair(directory, file, authority.pair)
    made.append(file)
    return authority


def _ensure_signing_pair(directory: Path, made: list[str]) -> None:
    pair = _read_pair(directory, "sa", public_suffix="pub")
    if pair is None:
        _write_pair(directory, "sa", pki.signing_pair(), public_suffix="pub")
        made.append("sa")
        return
    try:
        pki.check_signing_pair(pair)
    except ValueError as err:
        raise _damaged(directory, "sa", "sa.pub", "tokens of service accounts end") from err


def _ensure_encryption(config: node_config.NodeConfig, now: datetime.datetime, made: list[str]) -> None:
    """Make the key by which Secrets are encrypted; a server that joined was handed the first one's."""
    file = encryption_keys.path(config)
    if not config.joined and not file.exists():
        _demand_no_encrypted(config, file)
        files.write_private(file, encryption_keys.render(encryption_keys.fresh(now)))
        made.append(file.stem)


def _demand_no_encrypted(config: node_config.NodeConfig, file: Path) -> None:
    """A new key would not read what a lost one encrypted. Raises CredentialError."""
    store = config.paths.store / "cluster.db"
    if config.store or not store.exists():
        return
    try:
        ways = {prefix.prefix_of(record.value) for record in copy.read(store)[1]} - {b""}
    except copy.CopyError as err:
        raise CredentialError(f"cannot start: {err}") from err
    if ways:
        keys = ", ".join(sorted(map(prefix.spoken, ways)))
        raise CredentialError(
            f"cannot start: {file} is gone, and objects in {store} are encrypted by {keys}\n"
            "hint: put a copy of it there: nothing else reads them"
        )


def _damaged(directory: Path, name: str, public: str, consequence: str) -> CredentialError:
    return CredentialError(
        f"cannot use {directory}/{name}.key and {public}: damaged, or not a pair\n"
        f"hint: restore them, or remove both for new ones to be made ({consequence})"
    )


def _ensure_kubeconfigs(config: node_config.NodeConfig, authority: pki.Authority, made: list[str]) -> None:
    for name in ("admin", "controller-manager", "scheduler", "proxy", "kubelet"):
        pair = _read_pair(config.paths.pki, name)
        assert pair is not None
        target = config.paths.kubeconfig(name)
        text = kubeconfig(config.server, authority.pair.certificate, name, pair)
        if not target.exists() or target.read_bytes() != text.encode():
            files.write_private(target, text.encode())
            made.append(target.name)


def kubeconfig(server: str, authority: bytes, user: str, pair: pki.KeyPair) -> str:
    """Render a kubeconfig (YAML) with everything inside, so that one file is enough to take along."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CLUSTER, "cluster": {"server": server, "certificate-authority-data": _b64(authority)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _b64(pair.certificate),
                    "client-key-data": _b64(pair.key),
                },
            }
        ],
        "contexts": [{"name": CLUSTER, "context": {"cluster": CLUSTER, "user": user}}],
        "current-context": CLUSTER,
    }
    return yaml.safe_dump(document, sort_keys=False)


def worker_kubeconfig(server: str) -> str:
    """Render a worker's kubeconfig (YAML): authority and certificate are in files beside it."""
    user = {"client-certificate": f"pki/{KUBELET_CLIENT}", "client-key": f"pki/{KUBELET_CLIENT}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": {"server": server, "certificate-authority": "pki/ca.crt"}}],
        "users": [{"name": "kubelet", "user": user}],
        "contexts": [{"name": CLUSTER, "context": {"cluster": CLUSTER, "user": "kubelet"}}],
        "current-context": CLUSTER,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_pair(directory: Path, name: str, public_suffix: str = "crt") -> pki.KeyPair | None:
    try:
        return pki.KeyPair(
            (directory / f"{name}.{public_suffix}").read_bytes(), (directory / f"{name}.key").read_bytes()
        )
    except FileNotFoundError:
        return None


def _write_pair(directory: Path, name: str, pair: pki.KeyPair, public_suffix: str = "crt") -> None:
    files.write_private(directory / f"{name}.key", pair.key)
    files.write_private(directory / f"{name}.{public_suffix}", pair.certificate)
