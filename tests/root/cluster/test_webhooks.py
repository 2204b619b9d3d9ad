"""Admission webhooks and policies with stock kubectl, the webhook behind a Service of a running cluster."""

from __future__ import annotations

import base64
import datetime
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from nanokube.kit import pki
from tests.root.cluster import host

pytestmark = pytest.mark.root

PORT = 18443
SPACE = "hooked"
GROUP = "admissionregistration.k8s.io/v1"

# Answers by the path: allow, deny, patch, slow, garbage. Its certificate is read from the standard input.
_SERVER = """
import base64, http.server, json, os, ssl, sys, tempfile, time

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(30)
        found = {"uid": request["uid"], "allowed": path != "/deny", "warnings": ["asked at " + path]}
        if path == "/deny":
            found["status"] = {"message": "this is not allowed"}
        if path == "/patch":
            patch = [{"op": "add", "path": "/data/patched", "value": "yes"}]
            text = base64.b64encode(json.dumps(patch).encode()).decode()
            found |= {"patchType": "JSONPatch", "patch": text}
        about = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": found}
        body = b"<html>" if path == "/garbage" else json.dumps(about).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

with tempfile.NamedTemporaryFile("w") as pair:
    pair.write(os.environ["PAIR"])
    pair.flush()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.name)
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Hook)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def bundle(cluster: host.Host) -> Iterator[str]:
    """Run a webhook's server on the node, behind Service hooks; give its CA."""
    now = datetime.datetime.now(datetime.UTC)
    authority = pki.Authority.create("hooks-ca", now)
    pair = authority.issue(pki.Subject("hooks", names=(f"hooks.{SPACE}.svc",)), now)
    text = (pair.certificate + pair.key).decode()
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hooks", "namespace": SPACE},
            "spec": {"ports": [{"port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "hooks",
                "namespace": SPACE,
                "labels": {"kubernetes.io/service-name": "hooks"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host.ADDRESS]}],
            "ports": [{"name": "", "port": PORT}],
        },
    ]
    with cluster.running("env", f"PAIR={text}", sys.executable, "-c", _SERVER, str(PORT)) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        cluster.kubectl("apply", "-f", "-", stdin="".join(map(json.dumps, objects)))
        yield base64.b64encode(authority.pair.certificate).decode()
        cluster.kubectl("delete", "namespace", SPACE)


def hooks(kind: str, bundle: str, path: str, **fields: Any) -> dict[str, Any]:
    service = {"name": "hooks", "namespace": SPACE, "path": path}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    one = {
        "name": "hook.example.com",
        "clientConfig": {"service": service, "caBundle": bundle},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **fields,
    }
    return {
        "apiVersion": GROUP,
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": "test-hooks"},
        "webhooks": [one],
    }


@pytest.fixture
def configure(cluster: host.Host) -> Iterator[Any]:
    """Apply objects of the cluster; delete them after the test."""
    applied: list[str] = []

    def _configure(*objects: dict[str, Any]) -> None:
        text = "".join(map(json.dumps, objects))
        applied.append(text)
        cluster.kubectl("apply", "-f", "-", stdin=text)

    yield _configure
    for text in applied:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)


CREATE = ("create", "configmap", "-n", SPACE, "--from-literal=a=b")


def test_a_webhook_changes_and_refuses(cluster: host.Host, bundle: str, configure: Any) -> None:
    configure(hooks("Mutating", bundle, "/patch"))
    cluster.kubectl(*CREATE, "one")
    assert cluster.get("configmap", "-n", SPACE, "one")["data"] == {"a": "b", "patched": "yes"}
    configure(hooks("Validating", bundle, "/deny"))
    said = cluster.kubectl_fails(*CREATE, "two")
    assert 'admission webhook "hook.example.com" denied the request: this is not allowed' in said
    assert "Warning: asked at /deny" in said
    cluster.kubectl("create", "configmap", "elsewhere", "-n", "default")
    cluster.kubectl("delete", "configmap", "elsewhere", "-n", "default")


@pytest.mark.parametrize(
    ("path", "words"),
    [("/slow", "context deadline exceeded"), ("/garbage", "json parse error")],
)
def test_a_bad_webhook(cluster: host.Host, bundle: str, configure: Any, path: str, words: str) -> None:
    name = path.strip("/")
    limit = {"timeoutSeconds": 1} if path == "/slow" else {}
    configure(hooks("Validating", bundle, path, **limit))
    said = cluster.kubectl_fails(*CREATE, name)
    assert 'failed calling webhook "hook.example.com"' in said
    assert words in said
    configure(hooks("Validating", bundle, path, failurePolicy="Ignore", **limit))
    cluster.kubectl(*CREATE, name)


def test_one_that_nobody_vouches_for(cluster: host.Host, bundle: str, configure: Any) -> None:
    other = pki.Authority.create("other", datetime.datetime.now(datetime.UTC)).pair.certificate
    configure(hooks("Validating", base64.b64encode(other).decode(), "/allow"))
    assert "failed to verify certificate" in cluster.kubectl_fails(*CREATE, "one")


def test_policies(cluster: host.Host, bundle: str, configure: Any) -> None:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    match = {"resourceRules": [rule]}
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}}
    validation = {"expression": "size(object.data) < 3", "message": "too much"}
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{data: {'who': request.userInfo.username}}"},
    }

    def policy(kind: str, **spec: Any) -> list[dict[str, Any]]:
        about = {"apiVersion": GROUP, "metadata": {"name": "test-policy"}}
        spec = {"matchConstraints": match, **spec}
        bound: dict[str, Any] = {"policyName": "test-policy", "matchResources": selector}
        if kind == "Validating":
            bound["validationActions"] = ["Deny"]
        return [
            {**about, "kind": f"{kind}AdmissionPolicy", "spec": spec},
            {**about, "kind": f"{kind}AdmissionPolicyBinding", "spec": bound},
        ]

    configure(*policy("Validating", validations=[validation]))
    configure(*policy("Mutating", mutations=[mutation], reinvocationPolicy="Never"))
    cluster.kubectl(*CREATE, "changed")
    assert set(cluster.get("configmap", "-n", SPACE, "changed")["data"]) == {"a", "who"}
    said = cluster.kubectl_fails(*CREATE, "--from-literal=c=d", "two")
    assert (
        "ValidatingAdmissionPolicy 'test-policy' with binding 'test-policy' denied request: too much" in said
    )
    found = host.wait_for(
        lambda: cluster.get("validatingadmissionpolicy", "test-policy").get("status"), what="a status"
    )
    assert found["observedGeneration"] == 1
