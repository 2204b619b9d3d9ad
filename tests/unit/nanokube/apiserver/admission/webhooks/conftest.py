"""Webhook configurations for the tests of this folder."""

from __future__ import annotations

from typing import Any

from tests.unit.nanokube.apiserver.conftest import Api
from tests.unit.nanokube.apiserver.hookserver import HookServer

ROOT = "/apis/admissionregistration.k8s.io/v1"
NAMESPACE = "/api/v1/namespaces/default"


def rule(*resources: str, operations: str = "*", group: str = "", version: str = "*") -> dict[str, Any]:
    return {
        "operations": operations.split(","),
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": list(resources),
    }


def hook(
    server: HookServer, *rules: dict[str, Any], name: str = "h.example.com", **fields: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "clientConfig": server.config,
        "rules": list(rules),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        **fields,
    }


async def register(api: Api, kind: str, *hooks: dict[str, Any], name: str = "hooks") -> None:
    """kind: Mutating or Validating."""
    path = f"{ROOT}/{kind.lower()}webhookconfigurations"
    reply = await api("POST", path, {"metadata": {"name": name}, "webhooks": list(hooks)})
    assert reply.code == 201, reply.json


def config_map(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **fields}, "data": {"a": "b"}}
