"""What a refused change would have changed: unified diffs of indented JSON. Pure.

Source: apimachinery pkg/util/diff.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from nanokube.api.objects import Object


def show(old: Object, new: Object) -> str:
    """Show what differs, with three lines around; a line break ends it."""
    before, after = ((json.dumps(o, indent=1) + "\n").splitlines(keepends=True) for o in (old, new))
    return "".join(list(difflib.unified_diff(before, after))[2:])


def claim(spec: Object) -> dict[str, Any]:
    """Write the spec of a claim with the names and in the order of upstream's internal type."""
    resources = spec.get("resources") or {}
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    parts = ("apiGroup", "kind", "name")
    return {
        "AccessModes": spec.get("accessModes"),
        "Selector": _selector(spec.get("selector")),
        "Resources": {
            "Limits": _sorted(resources.get("limits")),
            "Requests": _sorted(resources.get("requests")),
        },
        "VolumeName": spec.get("volumeName") or "",
        "StorageClassName": spec.get("storageClassName"),
        "VolumeMode": spec.get("volumeMode"),
        "DataSource": _reference(source, parts),
        "DataSourceRef": _reference(reference, (*parts, "namespace")),
        "VolumeAttributesClassName": spec.get("volumeAttributesClassName"),
    }


def _selector(selector: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if selector is None:
        return None
    parts: dict[str, Any] = {"matchLabels": _sorted(selector.get("matchLabels"))}
    parts["matchExpressions"] = selector.get("matchExpressions")
    return {key: value for key, value in parts.items() if value}


def _sorted(amounts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if amounts is None else dict(sorted(amounts.items()))


def _reference(reference: Mapping[str, Any] | None, parts: tuple[str, ...]) -> dict[str, Any] | None:
    if reference is None:
        return None
    missing = {"kind": "", "name": ""}
    names = {"apiGroup": "APIGroup"}
    return {names.get(p, p.capitalize()): reference.get(p, missing.get(p)) for p in parts}
