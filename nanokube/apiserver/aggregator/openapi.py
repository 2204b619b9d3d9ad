"""What extension servers say in OpenAPI, cut to the group-versions that are theirs. Pure.

Source: staging kube-aggregator pkg/controllers/{openapi,openapiv3}/aggregator, kube-openapi pkg/aggregator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from nanokube.api.openapi import gnostic

Object = Mapping[str, Any]

REFERENCE: Final = "#/definitions/"


@dataclass(frozen=True, slots=True)
class Part:
    """Paths of a version 2 document, and the definitions that they speak of."""

    paths: Object = field(default_factory=dict)
    definitions: Object = field(default_factory=dict)


def cut(document: Object, prefixes: Sequence[str]) -> Part:
    """Take the paths below prefixes ("/apis/<group>/<version>") out of a document with their definitions.

    Raises AttributeError, TypeError for what is no document.
    """
    paths = {
        path: item
        for path, item in document["paths"].items()
        if any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)
    }
    known = document.get("definitions") or {}
    found: dict[str, Any] = {}
    todo = list(_references(paths))
    while todo:
        name = todo.pop()
        if name in known and name not in found:
            found[name] = known[name]
            todo += _references(known[name])
    for name, definition in known.items():  # kinds that no path names: lists of options, deletions
        if name not in found and any(_is_of(kind, prefixes) for kind in _kinds(definition)):
            found[name] = definition
            todo = list(_references(definition))
            while todo:
                other = todo.pop()
                if other in known and other not in found:
                    found[other] = known[other]
                    todo += _references(known[other])
    return Part(paths, found)


def check(part: Part) -> None:
    """Raise TypeError and the like, unless all documents can be made of a part: one must not spoil them."""
    whole = {"paths": part.paths, "definitions": part.definitions}
    orjson.dumps(whole)
    gnostic.encode(whole)


def _kinds(definition: Any) -> Sequence[Object]:
    found: Sequence[Object] = definition.get("x-kubernetes-group-version-kind") or ()
    return found


def _is_of(kind: Object, prefixes: Sequence[str]) -> bool:
    return f"/apis/{kind.get('group')}/{kind.get('version')}" in prefixes


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        ref = value.get("$ref")
        if isinstance(ref, str):
            yield ref.removeprefix(REFERENCE)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def addresses(index: Object, names: Sequence[str]) -> dict[str, str]:
    """Read the addresses of documents in a version 3 index. names: "apis/<group>/<version>".

    Raises AttributeError, TypeError for what is no index.
    """
    found = index.get("paths") or {}
    return {name: str(found[name].get("serverRelativeURL") or "") for name in names if name in found}
