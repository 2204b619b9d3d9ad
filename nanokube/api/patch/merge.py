"""JSON merge patch. Pure. Source: RFC 7396."""

from __future__ import annotations

from typing import Any


def apply(target: Any, patch: Any) -> Any:
    """Return the target with the patch merged in; null removes a key, all but objects replace.

    >>> apply({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [3]}})
    {'a': {'c': 2, 'd': [3]}}
    """
    if type(patch) is not dict:
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = apply(found.get(key), value)
    return found
