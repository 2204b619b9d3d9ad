"""A definition and its objects, for tests of custom resources."""

from typing import Any

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
