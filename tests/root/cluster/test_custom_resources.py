"""Custom resources with stock kubectl: from the definition to its end."""

import json
from typing import Any

import pytest

from tests.root.cluster import gadgets, host

pytestmark = pytest.mark.root


def test_kubectl_knows_custom_resources(cluster: host.Host) -> None:
    def kubectl(*words: str, body: Any = None, fails: bool = False) -> str:
        run = cluster.kubectl_fails if fails else cluster.kubectl
        return run(*words, stdin=json.dumps(body) if body is not None else "")

    kubectl("apply", "-f", "-", body=gadgets.definition())
    try:
        kubectl("wait", "--for=condition=Established", f"crd/{gadgets.NAME}", "--timeout=50s")
        kubectl("apply", "-f", "-", body=gadgets.gadget("a", size=3, replicas=1))
        assert "gadgets" in kubectl("api-resources", "--api-group=test.example.com")
        assert "gadget.test.example.com/a" in kubectl("get", "all")
        lines = kubectl("get", "gd").splitlines()
        assert [line.split()[:2] for line in lines] == [["NAME", "SIZE"], ["a", "3"]]
        assert "what is wanted" in kubectl("explain", "gadgets.spec")
        assert "unknown field" in kubectl(
            "apply", "-f", "-", body=gadgets.gadget("b", size=1, x=1), fails=True
        )
        assert "spec.size" in kubectl("apply", "-f", "-", body=gadgets.gadget("b", size=0), fails=True)
        kubectl("scale", "gadget/a", "--replicas=4")
        assert kubectl("get", "gd", "a", "-o", "jsonpath={.spec.replicas}") == "4"
        assert f"v1.{gadgets.NAME.partition('.')[2]}" in kubectl("get", "apiservices")
    finally:
        kubectl("delete", "crd", gadgets.NAME, "--timeout=50s")
    assert "test.example.com" not in kubectl("api-versions")


def test_owners_and_dependents_are_custom_resources(cluster: host.Host) -> None:
    """In the background, in the foreground and orphaned, as built-in kinds; a definition takes all along."""

    def apply(*objects: dict[str, Any]) -> None:
        cluster.kubectl("apply", "-f", "-", stdin="".join(json.dumps(each) for each in objects))

    def owned_by(kind: str, name: str, *, blocks: bool = False) -> dict[str, Any]:
        owner = json.loads(cluster.kubectl("get", kind, name, "-o", "json"))
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
        return {"ownerReferences": [{**reference, "blockOwnerDeletion": blocks}]}

    def thing(name: str, owner: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "default", **owner}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    def child(name: str, owner: dict[str, Any]) -> dict[str, Any]:
        made = gadgets.gadget(name, size=1)
        return {**made, "metadata": {**made["metadata"], **owner}}

    def gone(*names: str) -> None:
        cluster.kubectl("wait", "--for=delete", *names, "--timeout=50s")

    apply(gadgets.definition())
    try:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{gadgets.NAME}", "--timeout=50s")
        apply(*(gadgets.gadget(name, size=1) for name in ("back", "fore", "orphan")))
        for name in ("back", "fore", "orphan"):
            owner = owned_by("gadget", name, blocks=True)
            apply(thing(f"of-{name}", owner), child(f"gadget-of-{name}", owner))
        cluster.kubectl("delete", "gadget/back", "--cascade=background")
        gone("configmap/of-back", "gadget/gadget-of-back")
        cluster.kubectl("delete", "gadget/fore", "--cascade=foreground", "--timeout=50s")
        left = cluster.kubectl("get", "configmaps,gadgets", "-o", "name").split()
        assert not [name for name in left if "fore" in name]
        cluster.kubectl("delete", "gadget/orphan", "--cascade=orphan", "--timeout=50s")
        for name in ("configmap/of-orphan", "gadget/gadget-of-orphan"):
            assert cluster.kubectl("get", name, "-o", "jsonpath={.metadata.ownerReferences}") == ""
        apply(child("of-a-map", owned_by("configmap", "of-orphan")))
        cluster.kubectl("delete", "configmap/of-orphan")
        gone("gadget/of-a-map")
        apply(thing("last", owned_by("gadget", "gadget-of-orphan")))
        cluster.kubectl("delete", "crd", gadgets.NAME, "--timeout=50s")
        gone("configmap/last")
    finally:
        cluster.kubectl("delete", "crd", gadgets.NAME, "--ignore-not-found", "--timeout=50s")
