"""How the command line waits: for the launcher, then phase by phase until the Node is Ready."""

import datetime
import http.client
import json
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import click

from nanokube.cli import errors, phases
from nanokube.roles import bootstrap, node
from nanokube.roles import config as node_config

READY_TIMEOUT_S = 120.0  # of each phase: a slow one, as etcd on a new server, takes no time from the next
POLL_S = 0.02
LAUNCH_CHECK_S = 0.25  # between two looks at whether the launcher is still there


def wait_until_claimed(config: node_config.NodeConfig, is_alive: Callable[[], bool]) -> None:
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


def wait_until_ready(config: node_config.NodeConfig, since: datetime.datetime) -> None:
    """Wait for each phase. since: what the kubelet said before it was started does not count."""
    probe = Probe(config)
    server = "agent.log" if config.is_worker else "apiserver.log"
    for name, log, is_done in (
        ("container runtime", "cri.log", lambda: _answers(config.paths.cri_socket)),
        ("API server", server, lambda: probe.get("/readyz") is not None),
        ("node registered", "agent.log", lambda: probe.lease_renewed() >= since),
        ("node Ready", "agent.log", lambda: is_ready(probe.node())),
    ):
        try:
            with phases.phase(name):
                _wait(is_done, name, config, log)
        except KeyboardInterrupt:
            click.echo("the node goes on starting; `nanokube down` stops it", err=True)
            raise


def _wait(is_done: Callable[[], bool], name: str, config: node_config.NodeConfig, log: str) -> None:
    """Poll is_done. log: whose last line tells why it is not."""
    deadline = time.monotonic() + READY_TIMEOUT_S
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
    """Asks the API server over one connection, as administrator or as a worker's Node; no answer: None."""

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
        if self._config.is_worker:
            context.load_cert_chain(pki / bootstrap.KUBELET_CLIENT)
        else:
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        server = urllib.parse.urlsplit(self._config.server)
        return http.client.HTTPSConnection(str(server.hostname), server.port, timeout=5, context=context)
