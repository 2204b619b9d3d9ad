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
        cluster.kubectl("wait", done, f"pod/{name}", "--timeout=50s")


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
    host.wait_for(lambda: phase(cluster, "pvc", "plain") == "Bound", what="bound")
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
    host.wait_for(lambda: why in told(), what="the scheduler's word")
    missing = a_volume("lacking", "none", local={"path": "/run/not/there"}, nodeAffinity=on("alpha"))
    apply(missing)
    host.wait_for(
        lambda: 'volume "lacking" : path "/run/not/there" does not exist' in told(), what="the kubelet's"
    )
    cluster.run("mkdir", "-p", "/run/not/there")
    succeeded(cluster, "waits")


def test_a_statefulset_finds_its_data_again_and_deleting_the_claim_removes_it(
    cluster: host.Host, apply: Any
) -> None:
    labels = {"app": "keeper"}
    pod = a_pod("keeper", "unused", "test -e /data/x || date >/data/x; cat /data/x; sleep 1000")
    pod["spec"] |= {"volumes": [], "restartPolicy": "Always", "securityContext": {"runAsUser": 1000}}
    spec = {
        "serviceName": "keeper",
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        "volumeClaimTemplates": [a_claim("data")],
    }
    apply(thing("apps/v1", "StatefulSet", "keeper", spec=spec))
    cluster.kubectl("rollout", "status", "statefulset/keeper", "--timeout=50s")
    claim = cluster.get("pvc", "data-keeper-0")
    assert claim["spec"]["storageClassName"] == "local"
    volume = cluster.get("pv", claim["spec"]["volumeName"])
    path = volume["spec"]["local"]["path"]
    written = cluster.run("cat", f"{path}/x").stdout
    cluster.kubectl("delete", "pod", "keeper-0")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/keeper-0", "--timeout=50s")
    host.wait_for(lambda: cluster.kubectl("logs", "keeper-0") == written, what="the same data")
    cluster.kubectl("delete", "statefulset", "keeper")
    cluster.kubectl("delete", "pvc", "data-keeper-0", "data-keeper-1", "--timeout=50s")
    host.wait_for(lambda: not cluster.get("pv")["items"], what="volumes gone")
    assert cluster.run("ls", "-A", "/var/lib/nanokube/volumes").stdout == ""


def test_an_ephemeral_volume_goes_with_its_pod(cluster: host.Host, apply: Any) -> None:
    template = {"spec": a_claim("unused")["spec"]}
    volumes = [{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]
    apply(a_pod("brief", "unused", "echo hello >/data/x", volumes=volumes))
    succeeded(cluster, "brief")
    assert phase(cluster, "pvc", "brief-data") == "Bound"
    cluster.kubectl("delete", "pod", "brief")
    host.wait_for(lambda: not cluster.get("pvc,pv")["items"], what="claim and volume gone")


def test_a_claim_grows_and_a_retained_volume_stays(cluster: host.Host, apply: Any) -> None:
    apply(a_claim("grows"), a_pod("user", "grows", "echo kept >/data/x"))
    succeeded(cluster, "user")
    bigger = '{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}'
    cluster.kubectl("patch", "pvc", "grows", "-p", bigger)
    host.wait_for(lambda: cluster.get("pvc", "grows")["status"]["capacity"]["storage"] == "2Gi", what="grown")
    name = cluster.get("pvc", "grows")["spec"]["volumeName"]
    path = cluster.get("pv", name)["spec"]["local"]["path"]
    cluster.kubectl("patch", "pv", name, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    cluster.kubectl("delete", "pod/user", "pvc/grows", "--timeout=50s")
    host.wait_for(lambda: phase(cluster, "pv", name) == "Released", what="released")
    cluster.kubectl("delete", "pv", name, "--timeout=50s")
    assert cluster.run("cat", f"{path}/x").stdout == "kept\n"
    cluster.run("rm", "-r", path)


def test_a_device_is_formatted_and_another_given_as_it_is(cluster: host.Host, apply: Any) -> None:
    cluster.run("sh", "-c", "truncate -s 16M /run/a.img /run/b.img")
    loops = [cluster.run("losetup", "-f", "--show", f"/run/{name}.img").stdout.strip() for name in "ab"]
    try:
        block = {"volumeMode": "Block"}
        raw = a_volume("raw", "", local={"path": loops[1]}, nodeAffinity=on("alpha"), **block)
        wanted = a_claim("raw", "")
        wanted["spec"] |= {"volumeMode": "Block", "volumeName": "raw"}
        made = a_claim("made", "")
        made["spec"]["volumeName"] = "made"
        apply(a_volume("made", "", local={"path": loops[0]}, nodeAffinity=on("alpha")), made, raw, wanted)
        both = a_pod("both", "made", "grep ' /data ext4' /proc/mounts && printf hi >/dev/raw && sync")
        both["spec"]["volumes"].append({"name": "raw", "persistentVolumeClaim": {"claimName": "raw"}})
        both["spec"]["containers"][0]["volumeDevices"] = [{"name": "raw", "devicePath": "/dev/raw"}]
        apply(both)
        succeeded(cluster, "both")
        assert cluster.run("head", "-c2", loops[1]).stdout == "hi"
        cluster.kubectl("delete", "pod", "both")
    finally:
        cluster.run("losetup", "-d", *loops)


def restart_agent(cluster: host.Host) -> None:
    """Kill the agent and wait for the one that follows."""
    pid = cluster.pid_of("agent")
    cluster.run("kill", "-9", cluster.run("cat", "/run/nanokube/agent.pid").stdout.split()[0])
    host.wait_for(lambda: cluster.pid_of("agent") != pid, what="another agent")


def test_a_volume_of_one_pod_alone_is_refused_to_another_by_the_node(cluster: host.Host, apply: Any) -> None:
    """Whoever names a node itself passes by the scheduler."""
    alone = a_claim("alone")
    alone["spec"]["accessModes"] = ["ReadWriteOncePod"]
    apply(alone, a_pod("first", "alone", "sleep 1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/first", "--timeout=50s")
    restart_agent(cluster)
    apply(a_pod("second", "alone", "true", nodeName="alpha"))

    def told() -> bool:
        events = cluster.get("events", "--field-selector=involvedObject.name=second,reason=FailedMount")
        cause = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
        return any(cause in each["message"] for each in events["items"])

    host.wait_for(told, what="the kubelet's word")
    assert phase(cluster, "pod", "second") == "Pending"
    cluster.kubectl("delete", "pod", "first")
    succeeded(cluster, "second")
    cluster.kubectl("delete", "pod", "second")


def test_an_empty_dir_stays_as_its_pod_made_it_when_the_agent_restarts(
    cluster: host.Host, apply: Any
) -> None:
    script = (
        "stat -c %a:%g /data; touch /data/new$(ls /data | wc -l); stat -c %g /data/new*; "
        "chmod 2770 /data; until test -e /data/again; do sleep 0.1; done; mv /data/again /data/done"
    )
    users = {"securityContext": {"fsGroup": 1234, "runAsUser": 0}, "restartPolicy": "OnFailure"}
    apply(a_pod("keeper", "", f"{script}; exit 1", volumes=[{"name": "data", "emptyDir": {}}], **users))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/keeper", "--timeout=50s")
    assert cluster.kubectl("logs", "keeper").split() == ["2777:1234", "1234"]
    restart_agent(cluster)
    place = "/var/lib/nanokube/kubelet/pods/*/volumes/kubernetes.io~empty-dir/data"
    cluster.run("sh", "-c", f"cd {place} && touch again")
    host.wait_for(lambda: cluster.get("pod", "keeper")["status"]["containerStatuses"][0]["restartCount"], 50)
    host.wait_for(
        lambda: cluster.kubectl("logs", "keeper").split() == ["2770:1234", "1234", "1234"], 30, "logs"
    )
