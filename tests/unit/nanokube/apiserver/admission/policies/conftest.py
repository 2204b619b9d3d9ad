"""Policies and bindings for the tests of this folder."""

from __future__ import annotations

from typing import Any

from tests.unit.nanokube.apiserver.conftest import Api

ROOT = "/apis/admissionregistration.k8s.io/v1"
NAMESPACE = "/api/v1/namespaces/default"
MAPS = f"{NAMESPACE}/configmaps"
MERGE = "application/merge-patch+json"


def match(*resources: str, group: str = "", operations: str = "*", version: str = "*") -> dict[str, Any]:
    rule = {
        "operations": operations.split(","),
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": list(resources),
    }
    return {"resourceRules": [rule]}


async def bind(
    api: Api,
    kind: str,
    spec: dict[str, Any],
    *,
    name: str = "p",
    actions: list[str] | None = None,
    **binding: Any,
) -> None:
    """Create a policy with a binding. kind: validating or mutating."""
    fields = {"matchConstraints": match("configmaps"), **spec}
    if kind == "mutating":
        fields.setdefault("reinvocationPolicy", "Never")
    path = f"{ROOT}/{kind}admissionpolic"
    reply = await api("POST", f"{path}ies", {"metadata": {"name": name}, "spec": fields})
    assert reply.code == 201, reply.json
    bound = {"policyName": name, **binding}
    if kind == "validating":
        bound["validationActions"] = actions or ["Deny"]
    reply = await api("POST", f"{path}ybindings", {"metadata": {"name": f"{name}-b"}, "spec": bound})
    assert reply.code == 201, reply.json


def check(expression: str, **fields: Any) -> dict[str, Any]:
    return {"validations": [{"expression": expression, **fields}]}


def config_map(name: str = "c", data: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **fields}, "data": {"a": "b"} if data is None else data}
