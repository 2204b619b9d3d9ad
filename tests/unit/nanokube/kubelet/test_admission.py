from typing import Any

import pytest

from nanokube.kubelet import admission

NODE = {
    "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3"}},
}


def pod(name: str = "p", cpu: str = "1", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}, "ports": spec.pop("ports", [])}
    return {
        "metadata": {"name": name, "namespace": "x", "uid": name},
        "spec": {"containers": [container], **spec},
    }


def affinity(*values: str) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": list(values)}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": required}


PORT = {"containerPort": 80, "hostPort": 8080}


@pytest.mark.parametrize(
    ("new", "others", "reason"),
    [
        (pod(), [], ""),
        (pod(), [pod("a")], ""),
        (pod(), [pod("a"), pod("b")], "OutOfcpu"),
        (pod(cpu="0"), [pod(n, cpu="0") for n in "abc"], "OutOfpods"),
        (pod(nodeSelector={"disk": "ssd"}), [], ""),
        (pod(nodeSelector={"disk": "hdd"}), [], "NodeAffinity"),
        (pod(affinity=affinity("ssd", "x")), [], ""),
        (pod(affinity=affinity("x")), [], "NodeAffinity"),
        (pod(ports=[PORT]), [pod("a", ports=[PORT])], "NodePorts"),
        (pod(ports=[{**PORT, "hostIP": "1.1.1.1"}]), [pod("a", ports=[{**PORT, "hostIP": "1.1.1.2"}])], ""),
        (pod(securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}), [], ""),
        (pod(securityContext={"sysctls": [{"name": "kernel/shm_rmid_forced", "value": "1"}]}), [], ""),
        (
            pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            [],
            "SysctlForbidden",
        ),
    ],
)
def test_who_is_refused_and_why(new: dict[str, Any], others: list[dict[str, Any]], reason: str) -> None:
    verdict = admission.admit(new, others, NODE)
    assert (verdict.reason if verdict else "") == reason
