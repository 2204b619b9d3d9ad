"""The whole server on loopback with TLS and a durable store, judged by stock kubectl. Needs no root."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from nanokube.apiserver.run import ApiServerConfig, run
from nanokube.kit import pki

KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
Kubectl = Callable[..., Coroutine[Any, Any, tuple[int, str]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(folder: Path) -> ApiServerConfig:
    now = datetime.datetime.now(datetime.UTC)
    ca = pki.Authority.create("ca", now)
    pairs = {
        "ca": ca.pair,
        "server": ca.issue(pki.Subject("kube-apiserver", (), ("127.0.0.1",)), now),
        "admin": ca.issue(pki.Subject("admin", ("system:masters",)), now),
        "nobody": ca.issue(pki.Subject("nobody"), now),
        "sa": pki.signing_pair(),
    }
    for name, pair in pairs.items():
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)
    return ApiServerConfig(
        advertise_address="192.0.2.1",
        bind_address="127.0.0.1",
        port=free_port(),
        tls_cert=folder / "server.crt",
        tls_key=folder / "server.key",
        client_ca=folder / "ca.crt",
        service_account_public_key=folder / "sa.crt",
        service_account_private_key=folder / "sa.key",
        store=folder / "store" / "state.db",
    )


@asynccontextmanager
async def serving(settings: ApiServerConfig, folder: Path) -> AsyncIterator[Kubectl]:
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def kubectl(*arguments: str, user: str = "admin", stdin: str = "") -> tuple[int, str]:
        assert KUBECTL is not None
        options = [
            f"--server=https://127.0.0.1:{await bound}",
            f"--certificate-authority={folder}/ca.crt",
            f"--client-certificate={folder}/{user}.crt",
            f"--client-key={folder}/{user}.key",
            f"--cache-dir={folder}/cache",
        ]
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": str(folder), "PATH": os.environ.get("PATH", ""), "KUBECONFIG": "/dev/null"},
        )
        out, _ = await process.communicate(stdin.encode())
        return process.returncode or 0, out.decode()

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        server = group.create_task(run(settings, on_ready=lambda host, port: bound.set_result(port)))
        yield kubectl
        server.cancel()


async def test_kubectl_works_and_the_state_survives_a_restart(tmp_path: Path) -> None:
    settings = config(tmp_path)
    async with serving(settings, tmp_path) as kubectl:
        await _workloads(kubectl)
        await _questions(kubectl)
    async with serving(settings, tmp_path) as kubectl:
        code, text = await kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}")
        assert (code, text) == (0, "5")
        code, text = await kubectl("delete", "deploy,svc", "web")
        assert code == 0
        assert 'deployment.apps "web" deleted' in text


async def _workloads(kubectl: Kubectl) -> None:
    two, three = MANIFEST.replace("REPLICAS", "2"), MANIFEST.replace("REPLICAS", "3")
    assert await kubectl("apply", "-f", "-", stdin=two) == (
        0,
        "deployment.apps/web created\nservice/web created\n",
    )
    assert (await kubectl("diff", "-f", "-", stdin=two))[0] == 0
    code, text = await kubectl("diff", "-f", "-", stdin=three)
    assert code == 1
    assert "+  replicas: 3" in text
    assert "deployment.apps/web configured" in (await kubectl("apply", "-f", "-", stdin=three))[1]
    assert "scaled" in (await kubectl("scale", "deploy/web", "--replicas=4"))[1]
    assert "patched" in (await kubectl("patch", "deploy/web", "-p", '{"spec":{"replicas":5}}'))[1]
    code, text = await kubectl("get", "deploy,svc")
    assert code == 0
    assert "deployment.apps/web   0/5" in text
    bad = MANIFEST.replace("REPLICAS", "-1")
    code, text = await kubectl("apply", "-f", "-", stdin=bad)
    assert code == 1
    assert "must be greater than or equal to 0" in text


async def _questions(kubectl: Kubectl) -> None:
    assert "Server Version: v1.36.0+nanokube" in (await kubectl("version"))[1]
    assert "serviceaccount/default created" in (await kubectl("create", "serviceaccount", "default"))[1]
    code, token = await kubectl("create", "token", "default")
    assert (code, token.count(".")) == (0, 2)
    assert "pod/p created" in (await kubectl("run", "p", "--image=busybox:1"))[1]
    async with asyncio.TaskGroup() as group:
        wait = group.create_task(kubectl("wait", "--for=delete", "pod/p", "--timeout=10s"))
        await asyncio.sleep(0.3)
        assert 'pod "p" deleted' in (await kubectl("delete", "pod", "p"))[1]
    assert wait.result()[0] == 0
    assert "deployments" in (await kubectl("api-resources"))[1]
    assert "Container image name" in (await kubectl("explain", "pod.spec.containers.image"))[1]
    assert await kubectl("auth", "can-i", "create", "pods") == (0, "yes\n")
    assert await kubectl("auth", "can-i", "create", "pods", user="nobody") == (1, "no\n")
    code, text = await kubectl("get", "pods", user="nobody")
    assert code == 1
    assert 'pods is forbidden: User "nobody" cannot list resource "pods" in API group ""' in text
    raw = orjson.loads((await kubectl("get", "--raw", "/api/v1/namespaces/default/services/kubernetes"))[1])
    assert raw["spec"]["clusterIP"] == "10.96.0.1"
