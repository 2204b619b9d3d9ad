"""Field selectors of custom resources: metadata, and what the definition names for a version. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from nanokube.api.resources import Resource
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selection import NO_FIELDS, ReadFields, Selection


def refusal(resource: Resource, label: str) -> str:
    """Say why a selector may not use the label; "" if it may."""
    if label == "metadata.name" or (label == "metadata.namespace" and resource.namespaced):
        return ""
    if resource.custom is not None and label in resource.custom.selectable_fields:
        return ""
    return f"field label not supported: {label}"


def reader(resource: Resource) -> ReadFields:
    """Return what reads all field labels of an object in a resource's version."""
    kind = resource.custom
    assert kind is not None

    def read(obj: Mapping[str, Any]) -> Mapping[str, str]:
        metadata = obj["metadata"]
        found = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
        return {**found, **kind.read_fields(obj)}

    return read


def without_fields(selection: Selection) -> Selection:
    """Select by all but the fields, which differ from version to version."""
    return dataclasses.replace(selection, fields=NO_FIELDS)


def filtered(resource: Resource, selection: Selection, items: Iterable[Item]) -> list[Item]:
    """Select among objects shown in a resource's version."""
    read = reader(resource)
    return [item for item in items if selection.matches(item, read)]
