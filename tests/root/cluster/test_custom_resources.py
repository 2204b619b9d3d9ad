"""Custom resources with stock kubectl: from the definition to its end."""

import json
from typing import Any

import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root

NAME = "gadgets.test.example.com"


def definition() -> dict[str, Any]:
    spec = {
        "type": "object",
        "description": "what is wanted of the gadget",
        "required": ["size"],
        "properties": {"size": {"type": "integer", "minimum": 1}, "replicas": {"type": "integer"}},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.n"}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    names = {
        "plural": "gadgets",
        "singular": "gadget",
        "kind": "Gadget",
        "shortNames": ["gd"],
        "categories": ["all"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": "test.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def gadget(name: str, **spec: Any) -> dict[str, Any]:
    about = {"apiVersion": "test.example.com/v1", "kind": "Gadget"}
    return {**about, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_kubectl_knows_custom_resources(cluster: host.Host) -> None:
    def kubectl(*words: str, body: Any = None, fails: bool = False) -> str:
        run = cluster.kubectl_fails if fails else cluster.kubectl
        return run(*words, stdin=json.dumps(body) if body is not None else "")

    kubectl("apply", "-f", "-", body=definition())
    try:
        kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=10s")
        kubectl("apply", "-f", "-", body=gadget("a", size=3, replicas=1))
        assert "gadgets" in kubectl("api-resources", "--api-group=test.example.com")
        assert "gadget.test.example.com/a" in kubectl("get", "all")
        lines = kubectl("get", "gd").splitlines()
        assert [line.split()[:2] for line in lines] == [["NAME", "SIZE"], ["a", "3"]]
        assert "what is wanted" in kubectl("explain", "gadgets.spec")
        assert "unknown field" in kubectl("apply", "-f", "-", body=gadget("b", size=1, x=1), fails=True)
        assert "spec.size" in kubectl("apply", "-f", "-", body=gadget("b", size=0), fails=True)
        kubectl("scale", "gadget/a", "--replicas=4")
        assert kubectl("get", "gd", "a", "-o", "jsonpath={.spec.replicas}") == "4"
        assert f"v1.{NAME.partition('.')[2]}" in kubectl("get", "apiservices")
    finally:
        kubectl("delete", "crd", NAME, "--timeout=20s")
    assert "test.example.com" not in kubectl("api-versions")
