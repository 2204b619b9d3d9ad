"""An extension server behind a Service of a running cluster, used with stock kubectl: metrics.k8s.io."""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from nanokube.kit import pki
from tests.root.cluster import extension_server, host

pytestmark = pytest.mark.root

PORT = 17443
SPACE = "measured"
NAME = f"{extension_server.VERSION}.{extension_server.GROUP}"


def _objects(authority: bytes, address: str) -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics", "namespace": SPACE},
            "spec": {"ports": [{"port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "metrics-1",
                "namespace": SPACE,
                "labels": {"kubernetes.io/service-name": "metrics"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "", "port": PORT, "protocol": "TCP"}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": NAME},
            "spec": {
                "group": extension_server.GROUP,
                "version": extension_server.VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(authority).decode(),
                "service": {"namespace": SPACE, "name": "metrics"},
            },
        },
    ]


@pytest.fixture(scope="module")
def serving(cluster: host.Host) -> Iterator[Any]:
    """Run the extension server; calling what is given ends it."""
    now = datetime.datetime.now(datetime.UTC)
    authority = pki.Authority.create("metrics-ca", now)
    pair = authority.issue(pki.Subject("metrics", names=(f"metrics.{SPACE}.svc",)), now)
    cluster.run("sh", "-c", "cat > /run/extension.crt", stdin=pair.certificate.decode())
    cluster.run("sh", "-c", "cat > /run/extension.key", stdin=pair.key.decode())
    python = str(host.NANOKUBE.with_name("python"))
    command = [python, "-m", extension_server.__name__, str(PORT)]
    files = ["/run/extension.crt", "/run/extension.key", "/etc/nanokube/admin.conf"]
    root = os.environ.get("PYTHONPATH") or str(host.ROOT)
    text = "".join(json.dumps(each) for each in _objects(authority.pair.certificate, cluster.address))
    with cluster.running("env", f"PYTHONPATH={root}", *command, *files) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        assert pid.isdigit()
        cluster.kubectl("apply", "-f", "-", stdin=text)
        yield lambda: cluster.run("kill", pid)
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)


def _condition(cluster: host.Host) -> dict[str, Any]:
    conditions = cluster.get("apiservice", NAME).get("status", {}).get("conditions") or [{}]
    found: dict[str, Any] = conditions[0]
    return found


def test_kubectl_uses_what_an_extension_server_serves(cluster: host.Host, serving: Any) -> None:
    host.wait_for(lambda: _condition(cluster).get("reason") == "Passed", what="available")
    listed = cluster.kubectl("api-resources", f"--api-group={extension_server.GROUP}", "-o", "name")
    assert listed.split() == [f"nodes.{extension_server.GROUP}", f"pods.{extension_server.GROUP}"]
    assert "250m" in cluster.kubectl("top", "nodes")
    shown = cluster.kubectl("get", "apiservice", NAME).splitlines()[1].split()
    assert shown[1:3] == [f"{SPACE}/metrics", "True"]


def test_both_servers_ask_whether_a_user_may(cluster: host.Host, serving: Any) -> None:
    path = f"{extension_server.PATH}/nodes"
    assert 'cannot list resource "nodes"' in cluster.kubectl_fails("get", "--raw", path, "--as=joe")
    cluster.kubectl("create", "clusterrole", "measurer", "--verb=get,list", "--resource=nodes.metrics.k8s.io")
    cluster.kubectl("create", "clusterrolebinding", "measurer", "--clusterrole=measurer", "--user=joe")

    def is_allowed() -> bool:
        return cluster.run(host.kubectl(), "get", "--raw", path, "--as=joe", check=False).returncode == 0

    host.wait_for(is_allowed, what="allowed")
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", "measurer")


def test_tokens_are_believed_by_review_and_header_fields_without_a_certificate_are_not(
    cluster: host.Host, serving: Any
) -> None:
    address = f"https://{cluster.address}:{PORT}{extension_server.PATH}/nodes"
    ask = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}"]
    forged = ["-H", "X-Remote-User: root", "-H", "X-Remote-Group: system:masters"]
    assert cluster.run(*ask, *forged, address).stdout == "401"
    token = cluster.kubectl("create", "token", "default").strip()
    assert cluster.run(*ask, "-H", f"Authorization: Bearer {token}", address).stdout == "403"


def test_a_server_that_ends_is_told_to_clients_and_hurts_nobody_else(
    cluster: host.Host, serving: Any
) -> None:
    serving()
    cluster.kubectl("annotate", "apiservice", NAME, "--overwrite", "look=again")
    cluster.kubectl("patch", "apiservice", NAME, "--type=merge", "-p", '{"spec":{"versionPriority":101}}')

    def lost() -> Any:
        found = _condition(cluster)
        return found if found.get("status") == "False" else None

    found = host.wait_for(lost, what="lost")
    assert found["reason"] == "FailedDiscoveryCheck"
    assert "connection refused" in found["message"]
    assert "unable to handle the request" in cluster.kubectl_fails(
        "get", "--raw", f"{extension_server.PATH}/nodes"
    )
    assert "deployments" in cluster.kubectl("api-resources", "-o", "name")
    cluster.kubectl("delete", "apiservice", NAME)
    own = cluster.kubectl("get", "--raw", f"{extension_server.PATH}/nodes")  # the API server has its own
    assert '"window"' in own
