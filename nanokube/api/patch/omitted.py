"""Zeros that Go leaves out of JSON, in applied configurations: `paused: false`, `data: {}`, null. Pure.

Objects are stored without them, but who applies one sets the field, and owns it: it takes the place of what
was there before. Null in a custom resource is its schema's to judge.
Source: sigs.k8s.io/structured-merge-diff: configurations are typed as they came, before any Go struct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanokube.api import facts
from nanokube.api.patch import managed


def restore(definition: facts.Definition, clean: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Put back, in place, the zeros that pruning took out of a configuration.

    Not those of metadata that nobody manages: `namespace: ""` must not take the object's away.
    """
    before = set(clean.get("metadata") or ())
    _restore(definition.type, clean, given)
    metadata = clean.get("metadata") or {}
    for key in managed.UNMANAGED_METADATA & (metadata.keys() - before):
        del metadata[key]


def _restore(type_: facts.Type | None, clean: Any, given: Any) -> None:
    if type_ is None:
        return
    if type_.code == "@" and type(clean) is dict and type(given) is dict:
        for key, field in facts.struct_of(type_).fields.items():
            if key in clean:
                _restore(field.type, clean[key], given.get(key))
            elif field.drops_zero and is_zero(given.get(key)):
                clean[key] = given[key]
            elif key in given and given[key] is None and facts.is_built_in(type_):
                clean[key] = None
    elif type_.code == "m" and type(clean) is dict and type(given) is dict:
        for key, value in clean.items():
            _restore(type_.item, value, given.get(key))
    elif type_.code == "a" and type(clean) is list and type(given) is list and len(clean) == len(given):
        for value, before in zip(clean, given, strict=True):
            _restore(type_.item, value, before)


def drop(type_: facts.Type | None, value: Any) -> None:
    """Take out, in place, the zeros that Go leaves out."""
    if type_ is None:
        return
    if type_.code == "@" and type(value) is dict:
        for key, field in facts.struct_of(type_).fields.items():
            if key not in value:
                continue
            is_null = value[key] is None and facts.is_built_in(type_) and not field.is_nullable
            if is_null or (field.drops_zero and is_zero(value[key])):
                del value[key]
            else:
                drop(field.type, value[key])
    elif type_.code == "m" and type(value) is dict:
        for each in value.values():
            drop(type_.item, each)
    elif type_.code == "a" and type(value) is list:
        for each in value:
            drop(type_.item, each)


def is_zero(value: Any) -> bool:
    """Tell whether a value is a zero of its type; null is none."""
    return not value and value is not None
