"""An operator by kopf acts on custom resources: create, update, status, finalizer, delete."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.root.cluster import gadgets, host

pytestmark = pytest.mark.root

OPERATOR = Path(__file__).with_name("gadget_operator.py")
FINALIZER = "test.example.com/operator"


@pytest.fixture
def record(cluster: host.Host, tmp_path: Path) -> Iterator[Path]:
    """The operator at work; the file in which it notes the Gadgets that ended."""
    crd = gadgets.definition()
    version = crd["spec"]["versions"][0]
    version["subresources"]["status"] = {}
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(crd))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{gadgets.NAME}", "--timeout=50s")
    found, log = tmp_path / "record", tmp_path / "kopf.log"
    variables = [f"GADGET_RECORD={found}", f"GADGET_KUBECTL={host.kubectl()}", f"HOME={tmp_path}"]
    kopf = str(host.NANOKUBE.with_name("kopf"))
    command = f'exec "$@" > {log} 2>&1'
    try:
        with cluster.running(
            "env",
            *variables,
            "sh",
            "-c",
            command,
            "sh",
            kopf,
            "run",
            "--standalone",
            "-n",
            "default",
            str(OPERATOR),
        ):
            yield found
    finally:
        print(log.read_text()[-4000:])
        cluster.kubectl("delete", "crd", gadgets.NAME, "--ignore-not-found", "--timeout=50s")


def test_an_operator_follows_its_objects(cluster: host.Host, record: Path) -> None:
    def shown() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get("gadgets", "a")
        return found

    def child() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get("configmap", "a")
        return found

    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(gadgets.gadget("a", size=3)))
    host.wait_for(lambda: shown().get("status", {}).get("create") == {"made": True}, what="the status")
    made = shown()
    assert made["status"]["size"] == 3
    assert made["metadata"]["finalizers"] == [FINALIZER]
    assert made["metadata"]["generation"] == 1  # the operator wrote no spec
    assert child()["data"] == {"size": "3"}
    assert [owner["uid"] for owner in child()["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]

    cluster.kubectl("patch", "gadget", "a", "--type=merge", "-p", '{"spec": {"size": 5}}')
    host.wait_for(lambda: shown()["status"].get("before") == 3, what="the change")
    assert (shown()["status"]["size"], child()["data"]) == (5, {"size": "5"})
    assert shown()["metadata"]["generation"] == 2

    cluster.kubectl("delete", "gadget", "a", "--timeout=50s")  # waits for the finalizer
    assert record.read_text() == "a\n"
    host.wait_for(lambda: not cluster.get("configmap", "--field-selector=metadata.name=a")["items"])
