"""metrics.k8s.io of a test: an extension server that learns from the cluster whom to believe.

`python -m tests.root.cluster.extension_server PORT CERTIFICATE KEY KUBECONFIG`, in a host of tests. Whoever
shows a certificate of the front proxies' authority names the user in header fields. A TokenReview tells whose
a bearer token is, a SubjectAccessReview whether the user may: what the Kubernetes library does.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from nanokube.api import resources
from nanokube.client import rest

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
PATH = f"/apis/{GROUP}/{VERSION}"


class Server:
    """Serves nodes and pods of metrics.k8s.io."""

    def __init__(self, client: rest.Client, allowed_names: list[str]) -> None:
        self._client = client
        self._allowed_names = allowed_names

    async def answer(self, request: web.Request) -> web.StreamResponse:
        user = await self._user(request)
        if user is None:
            return web.json_response({"kind": "Status", "apiVersion": "v1", "code": 401}, status=401)
        if request.path == PATH:
            return web.json_response(_discovery())
        if not request.path.startswith(PATH):
            return web.json_response({}, status=404)
        resource = request.path.rsplit("/", 1)[-1]
        if not await self._may(user, resource):
            text = f"{resource}.{GROUP} is forbidden: {user['username']} may not"
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden"}
            return web.json_response({**status, "message": text, "code": 403}, status=403)
        names = [node["metadata"]["name"] for node in (await self._client.list(resources.get("nodes"))).items]
        usage = {
            "timestamp": "2026-01-01T00:00:00Z",
            "window": "10s",
            "usage": {"cpu": "250m", "memory": "64Mi"},
        }
        kind = {"kind": "NodeMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        items = [{"metadata": {"name": name}, **usage} for name in names]
        return web.json_response({**kind, "items": items})

    async def _user(self, request: web.Request) -> dict[str, Any] | None:
        secure = request.transport.get_extra_info("ssl_object") if request.transport else None
        peer = secure.getpeercert() if secure else None
        if peer:
            subject = {key: value for part in peer["subject"] for key, value in part}
            if subject.get("commonName") not in self._allowed_names:
                return None
            groups = request.headers.getall("X-Remote-Group", [])
            return {"username": request.headers["X-Remote-User"], "groups": groups}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return None
        review = await self._review("tokenreviews.authentication.k8s.io", {"token": token})
        found: dict[str, Any] | None = review["status"].get("user")
        return found if review["status"].get("authenticated") else None

    async def _may(self, user: dict[str, Any], resource: str) -> bool:
        asked = {"group": GROUP, "version": VERSION, "resource": resource, "verb": "list"}
        spec = {"user": user["username"], "groups": user.get("groups") or [], "resourceAttributes": asked}
        review = await self._review("subjectaccessreviews.authorization.k8s.io", spec)
        return bool(review["status"]["allowed"])

    async def _review(self, name: str, spec: dict[str, Any]) -> Any:
        resource = resources.get(name)
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return await self._client.create(resource, whole)


def _discovery() -> dict[str, Any]:
    listed = [
        {"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}
        for plural, namespaced, kind in (("nodes", False, "NodeMetrics"), ("pods", True, "PodMetrics"))
    ]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
    return {**head, "resources": listed}


async def main(port: int, certificate: Path, key: Path, kubeconfig: Path) -> None:
    """Serve until killed."""
    async with rest.Client.from_kubeconfig(kubeconfig) as client:
        found = await client.get(
            resources.get("configmaps"), "extension-apiserver-authentication", "kube-system"
        )
        data = found["data"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(cadata=data["requestheader-client-ca-file"])
        context.verify_mode = ssl.CERT_OPTIONAL
        server = Server(client, json.loads(data["requestheader-allowed-names"]))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port, ssl_context=context).start()
        print(os.getpid(), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(Path, sys.argv[2:])))
