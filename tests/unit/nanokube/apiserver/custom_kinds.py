"""Definitions and objects for tests of custom resources."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.unit.nanokube.apiserver.conftest import Api, Reply

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GADGETS = "/apis/example.com/v1/namespaces/default/gadgets"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "color": {"type": "string", "default": "red"},
                "replicas": {"type": "integer"},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
        },
    },
}
SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def version(name: str, *, is_stored: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": is_stored, "schema": {"openAPIV3Schema": SCHEMA}, **more}


def definition(*versions: dict[str, Any], plural: str = "gadgets", **names: Any) -> dict[str, Any]:
    kind = plural[:-1].capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": plural[:-1], "kind": kind, **names},
            "versions": list(versions) or [version("v1")],
        },
    }


def gadget(name: str = "a", api_version: str = "example.com/v1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


@contextlib.asynccontextmanager
async def lively(api: Api) -> AsyncIterator[None]:
    """Run what brings definitions into service."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(api.server.definitions.run())
        await asyncio.sleep(0)
        yield
        task.cancel()


async def until(check: Any) -> Any:
    for _ in range(200):
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.005)
    raise AssertionError("did not come true")


async def define(api: Api, crd: dict[str, Any]) -> Reply:
    made = await api("POST", CRDS, crd)
    assert made.code == 201, made.body

    async def is_established() -> Reply | None:
        found = await api("GET", f"{CRDS}/{crd['metadata']['name']}")
        return found if "Established" in conditions(found.json) else None

    found: Reply = await until(is_established)
    return found


def conditions(crd: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Types of conditions that are True, with their reasons."""
    found = crd.get("status", {}).get("conditions") or ()
    return {c["type"]: (c["status"], c["reason"]) for c in found if c["status"] == "True"}
