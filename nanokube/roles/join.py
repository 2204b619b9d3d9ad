"""How a host becomes a worker or a further server, and how it ceases to be one.

    discovery ── names and addresses of Nodes: ours must be free ──┬── worker: certificate by CSR ──┬── files
                                                                   └── server: authorities, sealed ─┘

Until the files are written nothing of this host is changed. The certificate that is asked for in vain stays a
CertificateSigningRequest for a day.
"""

import contextlib
import dataclasses
import datetime
import ipaddress
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import certificate_requests, errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import kubeconfig, rest
from nanokube.kit import addresses, files
from nanokube.kubelet.node import certificates
from nanokube.roles import balancer, bootstrap, discovery, etcd, handover, ranges
from nanokube.roles import config as node_config
from nanokube.roles.discovery import JoinError

NODES = resources.get("nodes")
SECRETS = resources.get("secrets")
CONFIG_MAPS = resources.get("configmaps")
CERTIFICATE_TIMEOUT_S = 30.0
LEAVE_TIMEOUT_S = 5.0
_SEE = "see on the other server: sudo nanokube status"


def refusal(nodes: Sequence[Object], name: str, own: Sequence[str]) -> JoinError | None:
    """Say why a host of this name and of its own addresses cannot join Nodes that are there. Pure.

    A Node of the same name that is not Ready is taken for this host's own, from an earlier life.
    """
    for node in nodes:
        if objects.name(node) == name:
            if objects.is_condition_true(node, "Ready"):
                remedy = f"join with --node-name, or remove it: nanokube kubectl delete node {name}"
                return JoinError(f"the name {name} is taken by a Node that is Ready", remedy)
            continue
        theirs = {each.get("address") for each in objects.status(node).get("addresses") or ()}
        if same := [each for each in own if each in theirs]:
            return JoinError(
                f"the address {same[0]} is taken by Node {objects.name(node)}",
                "join with --node-ip and an address that no other host has (`ip address` lists this host's)",
            )
    return None


def check_address(address: str) -> str:
    """Return the address if other hosts can reach it. Raises JoinError. Pure."""
    if ipaddress.ip_address(address).is_loopback:
        raise JoinError("the server is this host itself", "join from another host")
    return address


async def enrol(
    cluster: discovery.Cluster, invited: discovery.Invitation, config: node_config.NodeConfig
) -> tuple[node_config.NodeConfig, bytes]:
    """Ask for a worker's place in the cluster: its settings, and its certificate with key, PEM.

    Raises JoinError.
    """
    async with _asking(cluster, invited) as client:
        await _check_free(client, config)
        config = with_settings(config, await client.get(CONFIG_MAPS, tokens.SETTINGS, tokens.NAMESPACE))
        subject = certificates.client_subject(config.node_name)
        signer = certificate_requests.KUBELET_CLIENT
        pem = await certificates.obtain(client, subject, signer, timeout_s=CERTIFICATE_TIMEOUT_S)
    return config, pem


async def enrol_server(
    cluster: discovery.Cluster, invited: discovery.Invitation, config: node_config.NodeConfig, key: str
) -> tuple[node_config.NodeConfig, handover.Bundle]:
    """Ask for a further server's place: its settings, and what servers share. Raises JoinError."""
    async with _asking(cluster, invited) as client:
        await _check_free(client, config)
        try:
            secret = await client.get(SECRETS, handover.SECRET, tokens.NAMESPACE)
        except errors.ApiError as err:
            if err.code not in (403, 404):
                raise
            cause = f"token {invited.token_id} is not for servers, or what was laid out with it has gone"
            remedy = "make another on a server: `sudo nanokube token create --control-plane`"
            raise JoinError(cause, remedy) from err
    bundle = handover.unseal(secret, key)
    return handover.settings_of(bundle, config), bundle


async def _check_free(client: rest.Client, config: node_config.NodeConfig) -> None:
    if cause := refusal((await client.list(NODES)).items, config.node_name, config.node_ips):
        raise cause


@contextlib.asynccontextmanager
async def _asking(cluster: discovery.Cluster, invited: discovery.Invitation) -> AsyncIterator[rest.Client]:
    """Give a client that the token lets in; what fails is raised as JoinError."""
    access = kubeconfig.Access(cluster.server, ca=cluster.authority, token=invited.token)
    try:
        async with rest.Client(access, user_agent="nanokube-join", timeout_s=20.0) as client:
            yield client
    except errors.ApiError as err:
        raise _denied(invited, err) from err
    except certificate_requests.RequestRefused as err:
        raise JoinError(str(err), "ask who runs the cluster") from err
    except TimeoutError as err:
        remedy = "see on the server that its manager runs: sudo nanokube status"
        raise JoinError(str(err) or f"no answer from {cluster.server}", remedy) from err
    except OSError as err:
        raise JoinError(f"lost {cluster.server}: {err}", "join again") from err


def with_settings(config: node_config.NodeConfig, found: Object) -> node_config.NodeConfig:
    """Return the node's settings with those that the cluster's nodes share. Raises JoinError. Pure."""
    try:
        told: dict[str, Any] = json.loads(found["data"]["settings"])
        shared = {"node_grace_s": config.node_grace_s, **told}  # of which servers of before say nothing
        given = {name: shared[name] for name in node_config.SHARED}
        given["node_ip"] = ranges.fitting(config.node_ips, str(given["pod_cidr"]))
        return node_config.validate(dataclasses.replace(config, **given))
    except node_config.ConfigError as err:
        raise JoinError(
            f"cannot use the cluster's settings: {err}",
            "if an address is missing, join with --node-ip; else give server and host one version",
        ) from err
    except (LookupError, ValueError, TypeError) as err:
        raise JoinError(
            f"cannot use the cluster's settings: {err}", "give server and host one version"
        ) from err


def _denied(invited: discovery.Invitation, err: errors.ApiError) -> JoinError:
    again = "make a new one on the server: `sudo nanokube token create`"
    if err.code == 401:
        return JoinError(f"token {invited.token_id} is not accepted: it has expired, or was deleted", again)
    if err.code == 403:
        return JoinError(f"token {invited.token_id} may not let hosts join: {err}", again)
    if err.code == 404:
        return JoinError("the cluster does not tell its settings", "see on the server: sudo nanokube status")
    return JoinError(f"the server refuses: {err}", "see the server's /var/log/nanokube/apiserver.log")


def write(config: node_config.NodeConfig, cluster: discovery.Cluster, pem: bytes) -> node_config.NodeConfig:
    """Write what a worker's agent needs; return its settings. Raises OSError."""
    place = config.paths
    place.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write_private(place.pki / "ca.crt", cluster.authority)
    files.write_private(place.pki / bootstrap.KUBELET_CLIENT, pem)
    files.write_private(place.kubeconfig("kubelet"), bootstrap.worker_kubeconfig(config.server).encode())
    node_config.save(config)
    return config


def write_server(config: node_config.NodeConfig, bundle: handover.Bundle) -> node_config.NodeConfig:
    """Write what a further server needs, its own certificates too; return its settings, its etcd's included.

    Blocks, for seconds where etcd takes a member in. Raises JoinError, OSError.
    """
    handover.write(bundle, config)
    try:
        if config.store == node_config.ETCD:
            etcd.ensure_program()
            config = etcd.joined(config, addresses.host_port(bundle.origin, config.etcd_client_port))
        bootstrap.ensure_credentials(config, datetime.datetime.now(datetime.UTC))
    except etcd.EtcdError as err:
        raise JoinError(str(err), err.hint or _SEE) from err
    except bootstrap.CredentialError as err:
        raise JoinError(str(err), _SEE) from err
    node_config.save(config)
    return config


async def leave(config: node_config.NodeConfig) -> bool:
    """Take a joined host's Node out of the cluster; tells whether the cluster knows. Never raises."""
    others = [f"https://{each}" for each in balancer.kept(config.paths.lib / balancer.FILE)]
    for server in dict.fromkeys([config.joined, *others]):
        with contextlib.suppress(kubeconfig.KubeconfigError, OSError, errors.ApiError, ValueError):
            known = kubeconfig.load(config.paths.kubeconfig("kubelet"))
            access = dataclasses.replace(known, server=server)  # the node's own way there has ended
            async with rest.Client(access, timeout_s=LEAVE_TIMEOUT_S) as client:
                try:
                    await client.delete(NODES, config.node_name)
                except errors.ApiError as err:
                    if not errors.is_not_found(err):
                        raise
                return True
    return False


async def renew(config: node_config.NodeConfig, names: Sequence[str]) -> list[str]:
    """Renew a worker's certificates, named as their files are; returns which. Raises JoinError."""
    files = [config.paths.pki / name for name in (bootstrap.KUBELET_CLIENT, bootstrap.KUBELET_SERVING)]
    chosen = [file for file in files if file.stem in names]
    try:
        async with rest.Client.from_kubeconfig(config.paths.kubeconfig("kubelet")) as client:
            keeper = certificates.NodeCertificates(
                client, config.node_name, config.node_ip, client_file=files[0], serving_file=files[1]
            )
            for file in chosen:
                await keeper.renew(file)
    except (OSError, ValueError, errors.ApiError, certificate_requests.RequestRefused) as err:
        remedy = f"see that the agent runs and {config.joined} is reachable"
        raise JoinError(f"cannot renew: {err}", remedy) from err
    return [file.stem for file in chosen]
