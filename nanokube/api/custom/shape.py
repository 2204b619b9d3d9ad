"""A custom kind's fields in the form that managed fields and server-side apply read. Pure.

What a schema leaves open (preserved unknown fields) is shaped as its values: objects by field, lists whole.
Source: kube-openapi/pkg/schemaconv, structured-merge-diff/schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import facts
from nanokube.api.custom.metadata import OBJECT_META
from nanokube.api.custom.node import Node

_SCALARS: Final = {"string": "s", "boolean": "b", "integer": "l", "number": "n"}
_META_FIELDS: Final[Mapping[str, facts.Field]] = {
    "apiVersion": facts.Field(facts.Type("s")),
    "kind": facts.Field(facts.Type("s")),
    "metadata": facts.Field(facts.Type("@", name=OBJECT_META)),
}


def _open_type() -> facts.Type:
    """Make the type of what no schema describes: a map of itself."""
    found = facts.Type("m")
    object.__setattr__(found, "item", found)
    return found


OPEN: Final = _open_type()


class _OpenFields(dict[str, facts.Field]):
    """Fields of an object that may have others."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field; one that is not named has the shape of its value."""
        return dict.get(self, key) or facts.Field(OPEN)


def definition(
    node: Node, name: str, resets: Mapping[str, tuple[str, ...]] | None = None
) -> facts.Definition:
    """Make the definition of a kind. name: differs whenever the schema does."""
    fields: dict[str, facts.Field] = _OpenFields() if node.preserves else {}
    fields.update((key, _field(child, f"{name}.{key}")) for key, child in node.properties.items())
    fields.update(_META_FIELDS)
    return facts.Definition(name, fields, frozenset(), node.map_type == "atomic", resets=resets)


def _field(node: Node, name: str) -> facts.Field:
    return facts.Field(
        _type(node, name),
        list_type=node.list_type,
        list_keys=node.list_keys,
        is_atomic=node.map_type == "atomic",
        default=node.default,
    )


def _type(node: Node, name: str) -> facts.Type:
    if node.is_int_or_string:
        return facts.Type("x")
    if node.type in _SCALARS:
        return facts.Type(_SCALARS[node.type])
    if node.type == "array" and node.items is not None:
        return facts.Type("a", _type(node.items, f"{name}[]"))
    if node.additional is not None and not node.properties:
        return facts.Type("m", _type(node.additional, f"{name}{{}}"))
    if node.properties or node.is_embedded:
        return definition(node, name).type if node.is_embedded else _struct(node, name)
    return OPEN


def _struct(node: Node, name: str) -> facts.Type:
    fields: dict[str, facts.Field] = _OpenFields() if node.preserves else {}
    fields.update((key, _field(child, f"{name}.{key}")) for key, child in node.properties.items())
    return facts.Definition(name, fields, frozenset(), node.map_type == "atomic").type
