"""`nanokube up`: certificates, processes, then wait until the node is Ready, phase by phase."""

import datetime
import http.client
import ipaddress
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import click

from nanokube.cli import errors, phases, settings
from nanokube.roles import bootstrap, checks, node
from nanokube.roles import config as node_config

READY_TIMEOUT_S = 120.0
POLL_S = 0.02
LAUNCH_CHECK_S = 0.25  # between two looks at whether the launcher is still there


@click.command()
@click.option("--node-name", help="Name of this Node.  [default: the host's name]")
@click.option("--node-ip", help="Address of this node.  [default: that of the default route]")
@click.option("--api-port", type=int, help="Port of the API server.  [default: 6443]")
@click.option("--kubelet-port", type=int, help="Port of the kubelet.  [default: 10250]")
@click.option("--pod-cidr", help="Range of all Pods' addresses.  [default: 10.244.0.0/16]")
@click.option("--service-cidr", help="Range of Services' addresses.  [default: 10.96.0.0/16]")
@click.option("--cgroup-root", help="Name of the cgroup that holds all Pods.  [default: nanokube]")
def up(**options: object) -> None:
    """Start this node's cluster, or resume it: safe to call at any time."""
    errors.require_root("up")
    config = settings.current_or_default(**_with_node_range(options))
    began, since = time.monotonic(), datetime.datetime.now(datetime.UTC)
    with node.alone(config.paths):
        if node.running_pid(config.paths) is None:
            _refuse_other_ranges(config)
            _check(config)
            _prepare(config)
        else:
            since = datetime.datetime.min.replace(tzinfo=datetime.UTC)
            _refuse_changes(config)
    _wait_until_ready(config, began, since)
    click.echo(f"Node {config.node_name} is Ready ({time.monotonic() - began:.1f} s)")
    click.echo(f"kubeconfig: {config.paths.admin_kubeconfig}")
    click.echo("try:        nanokube kubectl get pods -A     nanokube demo     nanokube status")


def _with_node_range(options: dict[str, object]) -> dict[str, object]:
    """This node's share of a range given by hand is its first /24, or all of a smaller one."""
    given = options.get("pod_cidr")
    if not isinstance(given, str):
        return options
    try:
        network = ipaddress.IPv4Network(given)
    except ValueError as err:
        raise errors.failure(f"pod range {given!r} is not an IPv4 range: {err}") from err
    share = next(network.subnets(new_prefix=24)) if network.prefixlen < 24 else network
    return {**options, "node_pod_cidr": str(share)}


def _check(config: node_config.NodeConfig) -> None:
    for result in checks.run_all(config):
        if result.is_ok:
            continue
        if result.is_fatal:
            raise errors.failure(f"{result.name}: {result.found}", result.remedy)
        click.echo(f"warning: {result.name}: {result.found}; remedy: {result.remedy}", err=True)


def _prepare(config: node_config.NodeConfig) -> None:
    with phases.phase("certificates and settings"):
        try:
            node_config.save(config)
            bootstrap.ensure_credentials(config, datetime.datetime.now(datetime.UTC))
            _wait_until_claimed(config, node.start(config))
        except bootstrap.CredentialError as err:
            raise errors.failure(str(err)) from err
        except OSError as err:
            raise errors.failure(f"cannot write {err.filename}: {err.strerror}") from err


def _wait_until_claimed(config: node_config.NodeConfig, is_alive: Callable[[], bool]) -> None:
    """Wait until the launcher is known to run, so that whoever looks next does not start another."""
    look = time.monotonic() + LAUNCH_CHECK_S
    while node.running_pid(config.paths) is None:
        if time.monotonic() > look:
            if not is_alive():
                raise _node_ended(config)
            look = time.monotonic() + LAUNCH_CHECK_S
        time.sleep(POLL_S)


def _node_ended(config: node_config.NodeConfig) -> errors.Failure:
    words = _last_words(config, "node.log")
    return errors.failure(
        f"the node ended: {words}", f"see {config.paths.log}/node.log, or journalctl -u nanokube"
    )


def _refuse_changes(config: node_config.NodeConfig) -> None:
    if node_config.load(config.paths) is None or not config.paths.admin_kubeconfig.exists():
        raise errors.failure(
            f"the running node's files in {config.paths.etc} are gone",
            "put them back, or `nanokube down` and `nanokube up`: it makes new ones",
        )
    if node_config.load(config.paths) != config:
        raise errors.failure("cannot change a running node's settings", "run `nanokube down` first")


def _refuse_other_ranges(config: node_config.NodeConfig) -> None:
    """Objects that are stored have addresses of the ranges that were; nothing would renumber them."""
    known = node_config.load(config.paths)
    if known is None or not config.paths.store.exists():
        return
    for name in node_config.FIXED:
        old, new = getattr(known, name), getattr(config, name)
        if old != new:
            raise errors.failure(
                f"cannot change the {name.replace('_', ' ')} of a cluster from {old} to {new}",
                "leave the option out, or start anew with `nanokube reset`",
            )


def _wait_until_ready(config: node_config.NodeConfig, began: float, since: datetime.datetime) -> None:
    """Wait for each phase. since: what the kubelet said before it was started does not count."""
    deadline = began + READY_TIMEOUT_S
    probe = Probe(config)
    for name, log, is_done in (
        ("container runtime", "cri.log", lambda: _answers(config.paths.cri_socket)),
        ("API server", "apiserver.log", lambda: probe.get("/readyz") is not None),
        ("node registered", "agent.log", lambda: probe.lease_renewed() >= since),
        ("node Ready", "agent.log", lambda: is_ready(probe.node())),
    ):
        with phases.phase(name):
            _wait(is_done, deadline, name, config, log)


def _wait(
    is_done: Callable[[], bool], deadline: float, name: str, config: node_config.NodeConfig, log: str
) -> None:
    """Poll is_done until deadline. log: whose last line tells why it is not."""
    while not is_done():
        if node.running_pid(config.paths) is None:
            raise _node_ended(config)
        if time.monotonic() > deadline:
            raise errors.failure(
                f"{name}: not there after {READY_TIMEOUT_S:.0f} s: {_last_words(config, log)}",
                f"see {config.paths.log}/{log}",
            )
        time.sleep(POLL_S)


def _last_words(config: node_config.NodeConfig, log: str) -> str:
    """Return the last line of a log."""
    try:
        lines = (config.paths.log / log).read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it left no message"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def is_ready(found: "dict[str, object] | None") -> bool:
    status = found.get("status") if found else None
    conditions = status.get("conditions") if isinstance(status, dict) else None
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions or ())


class Probe:
    """Asks the API server over one connection, as the administrator; no answer is None."""

    def __init__(self, config: node_config.NodeConfig) -> None:
        self._config = config
        self._connection: http.client.HTTPSConnection | None = None

    def node(self) -> "dict[str, object] | None":
        body = self.get(f"/api/v1/nodes/{self._config.node_name}")
        return json.loads(body) if body else None

    def lease_renewed(self) -> datetime.datetime:
        """Return when the node's kubelet last renewed its Lease; long ago if never."""
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        body = self.get(f"{leases}/{self._config.node_name}")
        if not body:
            return datetime.datetime.min.replace(tzinfo=datetime.UTC)
        return datetime.datetime.fromisoformat(json.loads(body)["spec"]["renewTime"])

    def get(self, path: str) -> bytes | None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self._connection = None
            return None
        return body if response.status == 200 else None

    def _connect(self) -> http.client.HTTPSConnection:
        pki = self._config.paths.pki
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return http.client.HTTPSConnection("127.0.0.1", self._config.api_port, timeout=5, context=context)
