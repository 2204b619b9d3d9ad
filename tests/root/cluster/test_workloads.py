"""Jobs, CronJobs, DaemonSets, StatefulSets, claims and preemption on a running cluster, by stock kubectl."""

from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

IMAGE = demo_image.REFERENCE


def template(command: str, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command]}
    if request := spec.pop("cpu", None):
        container["resources"] = {"requests": {"cpu": request}}
    return {"spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}


def labelled(name: str, command: str, **spec: Any) -> dict[str, Any]:
    """The part of a spec that selects Pods and makes them."""
    made = template(command, **spec)
    made["metadata"] = {"labels": {"app": name}}
    return {"selector": {"matchLabels": {"app": name}}, "template": made}


def thing(api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def pods(cluster: host.Host, selector: str) -> list[str]:
    return sorted(each["metadata"]["name"] for each in cluster.get("pods", "-l", selector)["items"])


def test_indexed_job_completes_and_retries_what_fails(cluster: host.Host, apply: Any) -> None:
    # The second index fails once: its file outlives the container, which is restarted in place.
    script = "test $JOB_COMPLETION_INDEX = 0 || test -e /data/x || { touch /data/x; exit 1; }; hostname"
    shape: dict[str, Any] = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    made = template(script, restartPolicy="OnFailure", volumes=[{"name": "data", "emptyDir": {}}])
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    apply(thing("batch/v1", "Job", "numbers", spec={**shape, "template": made}))
    cluster.kubectl("wait", "--for=condition=complete", "job/numbers", "--timeout=50s")
    status = cluster.get("job", "numbers")["status"]
    assert (status["completedIndexes"], status["succeeded"]) == ("0,1", 2)
    output = cluster.kubectl("logs", "-l", "batch.kubernetes.io/job-name=numbers")
    assert sorted(output.split()) == ["numbers-0", "numbers-1"]
    left = cluster.get("pods", "-l", "batch.kubernetes.io/job-name=numbers")["items"]
    assert not any(each["metadata"].get("finalizers") for each in left)


def test_job_fails_at_its_limit(cluster: host.Host, apply: Any) -> None:
    failing = template("exit 3", restartPolicy="Never")
    apply(thing("batch/v1", "Job", "failing", spec={"backoffLimit": 0, "template": failing}))
    cluster.kubectl("wait", "--for=condition=failed", "job/failing", "--timeout=50s")
    conditions = {each["type"]: each for each in cluster.get("job", "failing")["status"]["conditions"]}
    assert conditions["Failed"]["reason"] == "BackoffLimitExceeded"


def test_job_is_created_from_a_cronjob(cluster: host.Host, apply: Any) -> None:
    job = {"spec": {"template": template("echo tick", restartPolicy="Never")}}
    spec = {"schedule": "0 0 1 1 *", "timeZone": "Europe/Berlin", "jobTemplate": job}
    apply(thing("batch/v1", "CronJob", "yearly", spec=spec))
    cluster.kubectl("create", "job", "now", "--from=cronjob/yearly")
    cluster.kubectl("wait", "--for=condition=complete", "job/now", "--timeout=50s")
    assert cluster.kubectl("logs", "job/now") == "tick\n"
    cluster.kubectl("delete", "cronjob", "yearly")
    host.wait_for(lambda: not pods(cluster, "batch.kubernetes.io/job-name=now"), what="collected")


def test_daemonset_runs_on_the_node_updates_and_rolls_back(cluster: host.Host, apply: Any) -> None:
    apply(thing("apps/v1", "DaemonSet", "daemon", spec=labelled("daemon", "sleep 1000")))
    cluster.kubectl("rollout", "status", "daemonset/daemon", "--timeout=50s")
    first = pods(cluster, "app=daemon")
    assert len(first) == 1
    cluster.kubectl("set", "env", "daemonset/daemon", "A=b")
    cluster.kubectl("rollout", "status", "daemonset/daemon", "--timeout=50s")
    assert pods(cluster, "app=daemon") != first
    cluster.kubectl("rollout", "undo", "daemonset/daemon")
    cluster.kubectl("rollout", "status", "daemonset/daemon", "--timeout=50s")
    assert "env" not in cluster.get("pods", "-l", "app=daemon")["items"][0]["spec"]["containers"][0]
    history = cluster.kubectl("rollout", "history", "daemonset/daemon")
    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["2", "3"]


def test_statefulset_scales_in_order_and_keeps_names(cluster: host.Host, apply: Any) -> None:
    spec = {**labelled("db", "sleep 1000"), "replicas": 1, "serviceName": "db"}
    apply(thing("apps/v1", "StatefulSet", "db", spec=spec))
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=50s")
    cluster.kubectl("scale", "statefulset/db", "--replicas=3")
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=50s")
    items = sorted(cluster.get("pods", "-l", "app=db")["items"], key=lambda each: each["metadata"]["name"])
    assert [each["metadata"]["name"] for each in items] == ["db-0", "db-1", "db-2"]
    ready = [
        next(c["lastTransitionTime"] for c in each["status"]["conditions"] if c["type"] == "Ready")
        for each in items
    ]
    assert ready == sorted(ready)
    before = items[1]["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "db-1")
    host.wait_for(lambda: cluster.get("pod", "db-1")["metadata"]["uid"] != before, what="db-1 anew")
    assert cluster.kubectl("exec", "db-0", "--", "hostname") == "db-0\n"
    cluster.kubectl("scale", "statefulset/db", "--replicas=1")
    host.wait_for(lambda: pods(cluster, "app=db") == ["db-0"], what="scaled down")


def test_higher_priority_takes_the_room_of_lower(cluster: host.Host, apply: Any) -> None:
    node = cluster.get("nodes")["items"][0]
    cpu = node["status"]["allocatable"]["cpu"]
    most = int(cpu.removesuffix("m")) * (1 if cpu.endswith("m") else 1000) * 7 // 10
    apply(
        thing("scheduling.k8s.io/v1", "PriorityClass", "low", value=1),
        thing("scheduling.k8s.io/v1", "PriorityClass", "high", value=1000),
    )
    fields = {"cpu": f"{most}m", "restartPolicy": "Never"}
    apply(thing("v1", "Pod", "low", **template("sleep 1000", priorityClassName="low", **fields)))
    cluster.kubectl("wait", "--for=condition=ready", "pod/low", "--timeout=50s")
    apply(thing("v1", "Pod", "high", **template("sleep 1000", priorityClassName="high", **fields)))
    cluster.kubectl("wait", "--for=condition=ready", "pod/high", "--timeout=50s")
    assert "NotFound" in cluster.kubectl_fails("get", "pod", "low")
    events = cluster.kubectl("get", "events", "--field-selector=involvedObject.name=low")
    assert "Preempted by pod" in events


def test_replication_controller_and_budget_count_its_pods(cluster: host.Host, apply: Any) -> None:
    spec = {**labelled("old", "sleep 1000"), "selector": {"app": "old"}, "replicas": 2}
    selector = {"matchLabels": {"app": "old"}}
    apply(
        thing("v1", "ReplicationController", "old", spec=spec),
        thing("policy/v1", "PodDisruptionBudget", "old", spec={"maxUnavailable": 1, "selector": selector}),
    )
    cluster.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "rc/old", "--timeout=50s")
    allowed = "--for=jsonpath={.status.disruptionsAllowed}=1"
    cluster.kubectl("wait", allowed, "pdb/old", "--timeout=50s")
    status = cluster.get("pdb", "old")["status"]
    assert (status["expectedPods"], status["desiredHealthy"], status["currentHealthy"]) == (2, 1, 2)


def test_claim_gets_the_volume_that_fits_and_protects_it(cluster: host.Host, apply: Any) -> None:
    shape: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual"}
    volume = {**shape, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp/none"}}
    claim = {**shape, "resources": {"requests": {"storage": "1Gi"}}}
    apply(
        thing("v1", "PersistentVolumeClaim", "data", spec=claim),
        thing("v1", "PersistentVolume", "disk", spec=volume),
    )
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=50s")
    assert cluster.get("pvc", "data")["spec"]["volumeName"] == "disk"
    cluster.kubectl("delete", "pvc", "data")
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Released", "pv/disk", "--timeout=50s")
