"""Default values of a structural schema, compiled. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanokube.api import objects
from nanokube.api.custom.node import Node

Fill = Callable[[Any], None]


def compile_fill(node: Node) -> Fill | None:
    """Make a function that fills in the defaults below a value, in place; None if there are none."""
    defaults = tuple(
        (key, child.default, not child.is_nullable)
        for key, child in node.properties.items()
        if child.default is not None
    )
    below = {k: f for k, child in node.properties.items() if (f := compile_fill(child)) is not None}
    other = _compile_item(node.additional, below_properties=node.properties.keys())
    item = _compile_item(node.items)
    if not defaults and not below and other is None and item is None:
        return None

    def fill(value: Any) -> None:
        if type(value) is dict:
            for key, default, replaces_null in defaults:
                found = value.get(key)
                if found is None and (key not in value or replaces_null):
                    value[key] = objects.copy(default)
            for key, fill_below in below.items():
                if key in value:
                    fill_below(value[key])
            if other is not None:
                other(value)
        elif type(value) is list and item is not None:
            item(value)

    return fill


def _compile_item(node: Node | None, below_properties: Any = ()) -> Fill | None:
    """Make a function that fills the items of a list, or the values of a map that are no named property."""
    if node is None:
        return None
    below, default = compile_fill(node), node.default
    replaces_null = not node.is_nullable
    if below is None and default is None:
        return None

    def fill(value: Any) -> None:
        keys = (k for k in value if k not in below_properties) if type(value) is dict else range(len(value))
        for key in list(keys):
            if value[key] is None and replaces_null and default is not None:
                value[key] = objects.copy(default)
            if below is not None:
                below(value[key])

    return fill
