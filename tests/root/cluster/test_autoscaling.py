"""An autoscaler that goes by what Pods really use, read through the built-in metrics.k8s.io."""

from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

BUSY = "while :; do :; done"


def _deployment() -> dict[str, Any]:
    labels = {"app": "busy"}
    container = {
        "name": "main",
        "image": demo_image.REFERENCE,
        "command": ["sh", "-c", BUSY],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}},
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "busy"}, "spec": spec}


def test_a_busy_deployment_is_scaled_up(cluster: host.Host, apply: Any) -> None:
    apply(_deployment())
    cluster.kubectl("rollout", "status", "deployment/busy", "--timeout=50s")
    cluster.kubectl("autoscale", "deployment", "busy", "--min=1", "--max=2", "--cpu=60%")
    try:
        # its period is 15 s, and a Pod counts once a whole window was measured after it got ready
        host.wait_for(lambda: cluster.get("deployment", "busy")["spec"]["replicas"] == 2, 75, "scaled up")
        status = cluster.get("hpa", "busy")["status"]
        used = status["currentMetrics"][0]["resource"]["current"]["averageUtilization"]
        assert 60 < used <= 300
        conditions = {each["type"]: each["status"] for each in status["conditions"]}
        assert conditions["ScalingActive"] == "True"
        assert "cpu: " in cluster.kubectl("get", "hpa", "busy")
    finally:
        cluster.kubectl("delete", "hpa", "busy")
