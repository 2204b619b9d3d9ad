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
        kubectl("wait", "--for=condition=Established", f"crd/{gadgets.NAME}", "--timeout=10s")
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
        kubectl("delete", "crd", gadgets.NAME, "--timeout=20s")
    assert "test.example.com" not in kubectl("api-versions")
