"""Refuse applied configurations that say what their kind does not have, or one item twice. Pure.

Source: sigs.k8s.io/structured-merge-diff, typed/validate.go; managedfields/internal/structuredmerge.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from nanokube.api import errors, facts, objects
from nanokube.api.errors import ApiError
from nanokube.api.objects import Object
from nanokube.api.patch import fieldsets, keyed

_UNKNOWN: Final = re.compile(r'unknown field "(.*)"')
_STEP: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def refusal(definition: facts.Definition, config: Object, problems: Sequence[str]) -> ApiError | None:
    """Build the answer to a configuration with unknown fields or ambiguous items; None if it has none.

    In upstream's words, but 400: its 500 would be our fault.
    """
    paths = [match[1] for text in problems if (match := _UNKNOWN.fullmatch(text))]
    texts = [f"{_shown(definition, config, path)}: field not declared in schema" for path in paths]
    texts = sorted([*texts, *keyed.problems(definition, config)])
    if not texts:
        return None
    metadata = objects.metadata(config)
    group, _, version = str(config.get("apiVersion", "")).rpartition("/")
    about = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {group}/{version}"
    listed = texts[0] if len(texts) == 1 else "".join(["errors:", *(f"\n  {text}" for text in texts)])
    message = f"failed to create typed patch object ({about}, Kind={config.get('kind', '')}): {listed}"
    return errors.bad_request(message)


def _shown(definition: facts.Definition, config: Object, path: str) -> str:
    """Print a path with the keys of its list items instead of their numbers."""
    type_: facts.Type | None = definition.type
    field: facts.Field | None = None
    value: Any = config
    text = ""
    for index, key in _STEP.findall(path):
        if index:
            is_there = type(value) is list and int(index) < len(value)
            value = value[int(index)] if is_there else None
            item = fieldsets.item_key(field, value) if field is not None else None
            text += fieldsets.print_path((item,)) if item else f"[{index}]"
            type_ = field.type.item if field is not None else None
        else:
            text += f".{key}"
            value = value.get(key) if type(value) is dict else None
            field = fieldsets.child_field(type_, key)
            type_ = field.type if field is not None else None
    return text
