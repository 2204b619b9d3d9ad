"""Auditing of a whole cluster: what stock kubectl does is in the log, and is POSTed to a webhook."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root

LOG = "/var/log/nanokube/audit.log"
POSTED = "/run/posted"
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:nodes"]}
- {level: None, nonResourceURLs: ["*"]}
- {level: Metadata, resources: [{group: "", resources: ["secrets"]}]}
- {level: RequestResponse, users: [admin, kubernetes-admin], omitManagedFields: true}
"""
KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://127.0.0.1:18555/audit"}}]
contexts: [{name: x, context: {cluster: c}}]
current-context: x
"""
_HOOK = """
import http.server, sys

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[1], "ab") as file:
            file.write(body + b"\\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass

print("ready", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 18555), Hook).serve_forever()
"""


def _events(on: host.Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in on.run("cat", LOG).stdout.splitlines()]


def _posted(on: host.Host) -> list[dict[str, Any]]:
    lists = on.run("cat", POSTED, check=False).stdout.splitlines()
    return [event for each in lists for event in json.loads(each)["items"]]


def _about(events: list[dict[str, Any]], verb: str, name: str) -> list[dict[str, Any]]:
    return [e for e in events if e["verb"] == verb and e.get("objectRef", {}).get("name") == name]


def test_what_kubectl_does_is_recorded(bare_host: host.Host) -> None:
    on = bare_host
    on.run("sh", "-c", "cat > /etc/policy.yaml", stdin=POLICY)
    on.run("sh", "-c", "cat > /etc/hook.conf", stdin=KUBECONFIG)
    with on.running(sys.executable, "-u", "-c", _HOOK, POSTED) as hook:
        assert hook.stdout is not None
        assert hook.stdout.readline() == "ready\n"
        options = ["--audit-policy-file=/etc/policy.yaml", f"--audit-log-path={LOG}"]
        options += ["--audit-webhook-config-file=/etc/hook.conf", "--audit-webhook-batch-max-wait=200ms"]
        on.up(*options)
        on.kubectl("create", "configmap", "seen", "--from-literal=a=1")
        on.kubectl("create", "secret", "generic", "hidden", "--from-literal=password=donottell")
        on.kubectl_fails("get", "pods", "--as=nobody")
        deadline = time.monotonic() + 10
        while not _about(_posted(on), "create", "hidden") and time.monotonic() < deadline:
            time.sleep(0.1)
        posted = _posted(on)
        mode = on.run("stat", "-c", "%a", LOG).stdout.strip()
        events = _events(on)
        # a restart keeps what up was told, and appends
        on.nanokube("down")
        on.up()
        on.kubectl("delete", "configmap", "seen")
        later = _events(on)
    assert mode == "600"
    (created,) = _about(events, "create", "seen")
    assert created["requestObject"]["data"] == {"a": "1"}
    assert created["responseObject"]["metadata"]["uid"]
    assert "managedFields" not in created["responseObject"]["metadata"]
    assert created["userAgent"].startswith("kubectl/")
    (secret,) = _about(events, "create", "hidden")
    assert secret["level"] == "Metadata"
    assert "donottell" not in json.dumps(events)
    (refused,) = [e for e in events if e.get("impersonatedUser", {}).get("username") == "nobody"][-1:]
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert refused["responseStatus"]["reason"] == "Forbidden"
    assert _about(posted, "create", "seen")[0]["auditID"] == created["auditID"]
    assert _about(later, "delete", "seen")
    assert _about(later, "create", "seen")
