"""What is asked of a definition: everything of a new one, of an old one what it kept before. Pure.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (validationOptions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """Rules that an update may leave out because the old definition broke them already.

    unchanged: versions whose schema the update does not change. many_fields: versions that had too many
    selectable fields and keep them.
    """

    requires_review_version: bool = True
    requires_schema: bool = True
    requires_valid_types: bool = True
    requires_structural: bool = True
    requires_pruned_defaults: bool = True
    requires_atomic_sets: bool = True
    requires_list_keys: bool = True
    allows_bad_bundle: bool = True
    limits_cost: bool = True
    unchanged: frozenset[str] = field(default_factory=frozenset)
    many_fields: frozenset[str] = field(default_factory=frozenset)

    def for_version(self, name: str) -> Options:
        """Return the options for the schema of one version: costs of an unchanged one were judged before."""
        return replace(self, limits_cost=False) if name in self.unchanged else self


def walk(schema: Any) -> Iterator[Schema]:
    """Yield a schema and all schemas in it."""
    todo = [schema]
    while todo:
        found = todo.pop()
        if type(found) is not dict:
            continue
        yield found
        for key in ("allOf", "anyOf", "oneOf"):
            if key in found:
                todo += found[key]
        for key in ("properties", "patternProperties", "definitions", "dependencies"):
            if key in found:
                todo += found[key].values()
        items = found.get("items")
        todo += items if type(items) is list else [items]
        todo += (found[k] for k in ("not", "additionalProperties", "additionalItems") if k in found)


def holds_any(schemas: list[Schema], test: Callable[[Schema], bool]) -> bool:
    """Tell whether a test holds for any schema, or any in it."""
    return any(test(each) for schema in schemas for each in walk(schema))
