"""Persistent volumes on a running cluster, by stock kubectl: data outlives the Pods that write it."""

from collections.abc import Iterator
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

LATE = "WaitForFirstConsumer"
FEW = {"accessModes": ["ReadWriteOnce"]}


def thing(api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def a_claim(name: str, storage_class: str | None = None, size: str = "1Mi") -> dict[str, Any]:
    spec: dict[str, Any] = {**FEW, "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return thing("v1", "PersistentVolumeClaim", name, spec=spec)


def a_volume(name: str, storage_class: str, **source: Any) -> dict[str, Any]:
    spec = {**FEW, "capacity": {"storage": "1Gi"}, "storageClassName": storage_class, **source}
    spec["persistentVolumeReclaimPolicy"] = "Retain"
    return thing("v1", "PersistentVolume", name, spec=spec)


def a_pod(name: str, claim: str, command: str, mount: Any = None, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": demo_image.REFERENCE,
        "command": ["sh", "-c", command],
        "volumeMounts": [{"name": "data", "mountPath": "/data", **(mount or {})}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    shape = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "volumes": volumes, **spec}
    return thing("v1", "Pod", name, spec={**shape, "containers": [container]})


def on(node: str) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def phase(cluster: host.Host, kind: str, name: str) -> str:
    return str(cluster.get(kind, name)["status"].get("phase"))


def succeeded(cluster: host.Host, *names: str) -> None:
    for name in names:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        cluster.kubectl("wait", done, f"pod/{name}", "--timeout=30s")


@pytest.fixture
def disk(cluster: host.Host) -> Iterator[str]:
    path = "/run/disk"
    cluster.run("mkdir", "-p", path)
    yield path
    cluster.run("rm", "-r", path)


def test_a_pod_writes_to_a_path_of_the_host_through_its_claim(
    cluster: host.Host, apply: Any, disk: str
) -> None:
    apply(a_volume("plain", "", hostPath={"path": disk}), a_claim("plain", ""))
    host.wait_for(lambda: phase(cluster, "pvc", "plain") == "Bound", 10, "bound")
    apply(a_pod("writer", "plain", "echo hello >/data/greeting"))
    succeeded(cluster, "writer")
    assert cluster.run("cat", f"{disk}/greeting").stdout == "hello\n"
    apply(a_pod("reader", "plain", "cat /data/greeting && ! touch /data/x", {"readOnly": True}))
    succeeded(cluster, "reader")
    cluster.kubectl("delete", "pod", "reader", "writer")
    assert cluster.run("cat", f"{disk}/greeting").stdout == "hello\n"


def test_a_local_volume_is_given_to_the_pods_group_and_bound_with_its_node(
    cluster: host.Host, apply: Any, disk: str
) -> None:
    cluster.run("mkdir", f"{disk}/sub")
    apply(
        thing(
            "storage.k8s.io/v1",
            "StorageClass",
            "disks",
            provisioner="kubernetes.io/no-provisioner",
            volumeBindingMode=LATE,
        ),
        a_volume("there", "disks", local={"path": disk}, nodeAffinity=on("alpha"), mountOptions=["noexec"]),
        a_volume("elsewhere", "disks", local={"path": disk}, nodeAffinity=on("omega")),
        a_claim("late", "disks"),
    )
    users = {"securityContext": {"fsGroup": 1234, "runAsUser": 1000}}
    look = "stat -c %g /data/. && grep ' /data ' /proc/self/mountinfo && echo hello >/data/greeting"
    apply(a_pod("first", "late", look, **users))
    succeeded(cluster, "first")
    output = cluster.kubectl("logs", "first")
    assert output.startswith("1234\n")
    assert "noexec" in output
    assert cluster.get("pvc", "late")["spec"]["volumeName"] == "there"
    apply(a_pod("second", "late", "touch /data/below && ls /data", {"subPath": "sub"}))
    succeeded(cluster, "second")
    cluster.run("test", "-e", f"{disk}/sub/below")
    cluster.kubectl("delete", "pod", "first", "second")
    assert cluster.run("cat", f"{disk}/greeting").stdout == "hello\n"
    assert cluster.run("sh", "-c", "grep -c local-volume /proc/self/mountinfo", check=False).stdout == "0\n"


def test_a_pod_waits_for_what_its_claim_lacks(cluster: host.Host, apply: Any) -> None:
    apply(a_claim("lacking", "none"), a_pod("waits", "lacking", "true"))

    def told() -> str:
        events = cluster.get("events", "--field-selector=involvedObject.name=waits")["items"]
        return "".join(each["message"] for each in events)

    why = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    host.wait_for(lambda: why in told(), 10, "the scheduler's word")
    missing = a_volume("lacking", "none", local={"path": "/not/there"}, nodeAffinity=on("alpha"))
    apply(missing)
    host.wait_for(
        lambda: 'volume "lacking" : path "/not/there" does not exist' in told(), 20, "the kubelet's"
    )
    cluster.run("mkdir", "-p", "/not/there")
    succeeded(cluster, "waits")
