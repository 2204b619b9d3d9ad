"""Defaults of the small kinds of the core and discovery groups.

Pure. Source: pkg/apis/core/v1/defaults.go.
"""

from __future__ import annotations

import base64
from typing import Any


def endpoints(obj: dict[str, Any]) -> None:
    """Fill in Endpoints."""
    for subset in obj.get("subsets", ()):
        for port in subset.get("ports", ()):
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def endpoint_slice(obj: dict[str, Any]) -> None:
    """Fill in an EndpointSlice. Source: pkg/apis/discovery/v1/defaults.go."""
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def secret(obj: dict[str, Any]) -> None:
    """Fill in a Secret and fold `stringData` into `data`. Source: pkg/apis/core/v1/conversion.go."""
    if not obj.get("type"):
        obj["type"] = "Opaque"
    text = obj.pop("stringData", None)
    if text:
        data = obj.setdefault("data", {})
        for key, value in text.items():
            data[key] = base64.b64encode(value.encode()).decode()


def namespace(obj: dict[str, Any]) -> None:
    """Fill in a Namespace."""
    metadata = obj.setdefault("metadata", {})
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def node(obj: dict[str, Any]) -> None:
    """Fill in a Node."""
    spec = obj.get("spec") or {}
    if spec.get("podCIDR") and (spec.get("podCIDRs") or [""])[0] != spec["podCIDR"]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    status = obj.get("status") or {}
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])
