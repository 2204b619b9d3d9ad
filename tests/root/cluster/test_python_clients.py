"""The official Python client and kopf, an operator framework, work on the cluster as they are."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

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


def wait_for(is_so: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.2)


def test_the_official_client_reads_writes_and_watches(cluster: host.Host) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=20s")
    try:
        assert "done" in cluster.run(sys.executable, "-c", CLIENT, timeout_s=60).stdout
    finally:
        cluster.kubectl("delete", "crd", "gadgets.example.com")


def test_an_operator_acts_on_custom_resources(cluster: host.Host, tmp_path: Path) -> None:
    operator = tmp_path / "operator.py"
    operator.write_text(OPERATOR)
    cluster.kubectl("apply", "-f", "-", stdin=DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=20s")

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
            cluster.kubectl("delete", "gadget", "one", "--timeout=30s")
    finally:
        cluster.kubectl("delete", "crd", "gadgets.example.com")
