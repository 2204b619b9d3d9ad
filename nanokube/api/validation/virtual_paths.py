"""Files that a volume would put at the same place, or one inside the other. Pure.

Source: pkg/api/pod/warnings.go, warningsForOverlappingVirtualPaths.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from nanokube.api.field import quote
from nanokube.api.objects import Object

# kind -> (how upstream calls it, key of its name)
_KINDS: Final = {
    "configMap": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "downwardAPI": ("DownwardAPI", ""),
}


def overlaps(volume: Object) -> list[str]:
    """Return what to say of a volume's files."""
    found, name = list[str](), quote(volume.get("name") or "")
    for kind, (shown, key) in _KINDS.items():
        body = volume.get(kind)
        if body is not None:
            said = f"{shown} {quote(body.get(key) or '')}" if key else shown
            paths = [(item.get("path") or "", "") for item in body.get("items") or ()]
            found += [f"volume {name} ({said}): overlapping paths: {text}" for text in _clashes(paths)]
    if volume.get("projected") is not None:
        sources = volume["projected"].get("sources") or ()
        found += [f"volume {name} (Projected) has no sources provided" for s in sources if not s]
        paths = [pair for source in sources for pair in _paths(source)]
        found += [f"volume {name} (Projected): overlapping paths: {text}" for text in _clashes(paths)]
    return found


def _paths(source: Object) -> list[tuple[str, str]]:
    for kind, (shown, key) in _KINDS.items():
        body = source.get(kind)
        if body is not None and body.get("items"):
            said = f"{shown} {quote(body.get('name') or '')}" if key else shown
            return [(item.get("path") or "", said) for item in body["items"]]
    token: dict[str, Any] | None = source.get("serviceAccountToken")
    return [] if token is None else [(token.get("path") or "", "ServiceAccountToken")]


def _clashes(paths: Iterable[tuple[str, str]]) -> list[str]:
    found, seen = list[str](), list[tuple[str, str]]()
    for raw, source in paths:
        path = raw.rstrip("/")
        for other in seen:
            mine, its = f"{path}/", f"{other[0]}/"
            if path and other[0] and (mine.startswith(its) or its.startswith(mine)):
                found.append(f"{_shown((path, source))} with {_shown(other)}")
        seen.append((path, source))
    return found


def _shown(pair: tuple[str, str]) -> str:
    return f"{quote(pair[0])} ({pair[1]})" if pair[1] else quote(pair[0])
