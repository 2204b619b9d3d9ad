"""The rows that a CustomResourceDefinition adds to the table of resources. Pure.

Source: apiextensions-apiserver/pkg/apiserver/customresource_discovery_controller.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanokube.api.custom.kind import CustomKind
from nanokube.api.resource import Resource, Subresource, scale, status


def resources_of(crd: Mapping[str, Any]) -> list[Resource]:
    """Return a row for each served version, in the definition's order; all show the same stored objects."""
    spec = crd["spec"]
    return [_resource(spec, version) for version in spec.get("versions") or () if version.get("served")]


def _resource(spec: Mapping[str, Any], version: Mapping[str, Any]) -> Resource:
    names = spec["names"]
    kind = CustomKind(spec, version)
    subresources: list[Subresource] = []
    if kind.has_status:
        subresources.append(status(kind.kind))
    if kind.scale is not None:
        subresources.append(scale())
    return Resource(
        kind.group,
        kind.version,
        kind.kind,
        names["plural"],
        names.get("singular") or names["kind"].lower(),
        spec.get("scope") == "Namespaced",
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        subresources=tuple(subresources),
        has_generation=True,
        custom=kind,
    )
