"""The official Python client and kopf, an operator framework, work on the cluster as they are."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
"""
GADGET = """
apiVersion: example.com/v1
kind: Gadget
metadata: {name: one, namespace: default}
spec: {size: 3}
"""
OPERATOR = """
import kopf

@kopf.on.create("example.com", "v1", "gadgets")
def made(spec, **_):
    return {"size": spec["size"]}

@kopf.on.update("example.com", "v1", "gadgets")
def changed(diff, **_):
    return {"to": diff[0].new}
"""
CLIENT = """
import threading
from kubernetes import client, config, dynamic, watch

config.load_kube_config()
core, apps, seen = client.CoreV1Api(), client.AppsV1Api(), []

def follow():
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, "default", label_selector="client=python", timeout_seconds=20
    )
    for event in stream:
        seen.append((event["type"], event["object"].data["k"]))
        if event["type"] == "DELETED":
            return

core.create_namespaced_config_map(
    "default", {"metadata": {"name": "p", "labels": {"client": "python"}}, "data": {"k": "1"}}
)
thread = threading.Thread(target=follow)
thread.start()
while not seen:
    pass
core.patch_namespaced_config_map("p", "default", {"data": {"k": "2"}})
found = core.read_namespaced_config_map("p", "default")
found.data["k"] = "3"
core.replace_namespaced_config_map("p", "default", found)
core.delete_namespaced_config_map("p", "default")
thread.join()
assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3"), ("DELETED", "3")], seen

pod = {"metadata": {"labels": {"app": "p"}}, "spec": {"containers": [{"name": "c", "image": "none/such"}]}}
deployment = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p"},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "p"}}, "template": pod},
}
resources = dynamic.DynamicClient(client.ApiClient()).resources
deployments = resources.get(api_version="apps/v1", kind="Deployment")
deployments.server_side_apply(deployment, namespace="default", field_manager="python")
scale = apps.read_namespaced_deployment_scale("p", "default")
assert scale.status.selector == "app=p", scale
apps.delete_namespaced_deployment("p", "default", propagation_policy="Foreground")
definition = client.ApiextensionsV1Api().read_custom_resource_definition("gadgets.example.com")
assert definition.spec.names.kind == "Gadget", definition
print("done")
"""

STREAMS = """
from kubernetes import client, config
from kubernetes.stream import portforward, stream

config.load_kube_config()
core = client.CoreV1Api()
exec_, attach = core.connect_get_namespaced_pod_exec, core.connect_get_namespaced_pod_attach
where, output = ("streams", "default"), {"stdout": True, "stderr": True, "tty": False}

said = stream(exec_, *where, container="server", command=["echo", "hello"], stdin=False, **output)
assert said == "hello\\n", said

shell = stream(
    exec_, *where, container="server", command=["sh"], stdin=True, _preload_content=False, **output
)
shell.write_stdin("echo out; echo err >&2; exit 3\\n")
shell.run_forever(timeout=20)
found = (shell.read_stdout(), shell.read_stderr(), shell.returncode)
assert found == ("out\\n", "err\\n", 3), found

reader = stream(attach, *where, container="reader", stdin=True, _preload_content=False, **output)
reader.write_stdin("word\\n")
assert reader.readline_stdout(timeout=20) == "got word"
reader.close()

tunnel = portforward(core.connect_get_namespaced_pod_portforward, *where, ports="8080,1")
web, nobody = tunnel.socket(8080), tunnel.socket(1)
web.setblocking(True)
web.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
page = b""
while part := web.recv(4096):
    page += part
assert b"streams" in page, page
nobody.setblocking(True)
assert nobody.recv(1) == b""
assert tunnel.error(8080) is None, tunnel.error(8080)
assert "refused" in tunnel.error(1), tunnel.error(1)
print("done")
"""
STREAMED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "streams"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {"name": "server", "image": demo_image.REFERENCE},
            {
                "name": "reader",
                "image": demo_image.REFERENCE,
                "stdin": True,
                "command": ["sh", "-c", "while read line; do echo got $line; done"],
            },
        ],
    },
}


def wait_for(is_so: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.2)


def test_the_official_client_reads_writes_and_watches(cluster: host.Host) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=50s")
    try:
        assert "done" in cluster.run(sys.executable, "-c", CLIENT, timeout_s=60).stdout
    finally:
        cluster.kubectl("delete", "crd", "gadgets.example.com")


def test_the_official_client_streams(cluster: host.Host, apply: Any) -> None:
    apply(STREAMED)
    cluster.kubectl("wait", "pod/streams", "--for=condition=Ready", "--timeout=50s")
    assert "done" in cluster.run(sys.executable, "-c", STREAMS, timeout_s=90).stdout


def test_an_operator_acts_on_custom_resources(cluster: host.Host, tmp_path: Path) -> None:
    operator = tmp_path / "operator.py"
    operator.write_text(OPERATOR)
    cluster.kubectl("apply", "-f", "-", stdin=DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=50s")

    def said(handler: str) -> object:
        return cluster.get("gadget", "one").get("status", {}).get(handler)

    try:
        with cluster.running(
            sys.executable, "-m", "kopf", "run", "--standalone", "--namespace=default", str(operator)
        ):
            cluster.kubectl("apply", "-f", "-", stdin=GADGET)
            wait_for(lambda: said("made") == {"size": 3}, "the operator to see what was made")
            cluster.kubectl("patch", "gadget", "one", "--type=merge", "-p", '{"spec":{"size":5}}')
            wait_for(lambda: said("changed") == {"to": 5}, "the operator to see what was changed")
            cluster.kubectl("delete", "gadget", "one", "--timeout=50s")
    finally:
        cluster.kubectl("delete", "crd", "gadgets.example.com")
