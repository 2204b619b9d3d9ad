"""A structural schema as a tree of nodes, read once from the JSON of a CustomResourceDefinition. Pure.

What shapes values (types, properties, items, extensions) is in the nodes; what only restricts them (enum,
allOf, ...) stays in `schema`, for `checks` to compile.
Source: apiextensions-apiserver/pkg/apiserver/schema/{structural,convert}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]

META_FIELDS: Final = frozenset(("apiVersion", "kind", "metadata"))
_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_NOTHING: Final[Schema] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One schema of the tree.

    additional: the schema of values under other keys than `properties`; allows_additional: whether there may
    be any, None if the schema does not say.
    """

    schema: Schema
    type: str
    properties: Mapping[str, Node]
    items: Node | None
    additional: Node | None
    allows_additional: bool | None
    is_nullable: bool
    preserves: bool
    is_embedded: bool

    @property
    def default(self) -> Any:
        """The default value, None if there is none."""
        return self.schema.get("default")

    @property
    def is_int_or_string(self) -> bool:
        """Whether values are integers or strings."""
        return bool(self.schema.get("x-kubernetes-int-or-string"))

    @property
    def list_type(self) -> str:
        """ "atomic", "set" or "map"."""
        return self.schema.get("x-kubernetes-list-type") or "atomic"

    @property
    def list_keys(self) -> tuple[str, ...]:
        """The keys of a list of type map."""
        return tuple(self.schema.get("x-kubernetes-list-map-keys") or ())

    @property
    def map_type(self) -> str:
        """ "granular" or "atomic"."""
        return self.schema.get("x-kubernetes-map-type") or "granular"

    def child(self, key: str) -> Node | None:
        """Return the schema of the value under a key, None if nothing is said about it."""
        return self.properties.get(key) or self.additional

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes right below, with their place in the schema."""
        for key, node in self.properties.items():
            yield f"properties[{key}]", node
        if self.items is not None:
            yield "items", self.items
        if self.additional is not None:
            yield "additionalProperties", self.additional


def of(schema: Schema | None) -> Node:
    """Read a schema; none at all is an empty one."""
    schema = schema or _NOTHING
    properties = schema.get("properties")
    items, others = schema.get("items"), schema.get("additionalProperties")
    return Node(
        schema,
        schema.get("type") or "",
        {k: of(v) for k, v in properties.items()} if properties else {},
        of(items) if type(items) is dict else None,
        of(others) if type(others) is dict else None,
        None if others is None else others is not False,
        bool(schema.get("nullable")),
        bool(schema.get(_PRESERVE)),
        bool(schema.get("x-kubernetes-embedded-resource")),
    )
