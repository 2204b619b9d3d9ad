"""One version of a custom kind: everything that built-in kinds have in tables, made from its schema. Pure.

What is costly is made on first use, so that a definition with many versions is served at once.
Source: apiextensions-apiserver/pkg/apiserver/customresource_handler.go, registry/customresource/strategy.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import orjson

from nanokube.api import errors, facts, field, objects, walk
from nanokube.api.custom import (
    checks,
    columns,
    correlate,
    fill,
    metadata,
    node,
    prune,
    rule_tree,
    scale,
    shape,
    unique,
    versions,
)
from nanokube.api.custom.problems import NOWHERE, Problems
from nanokube.api.custom.scale import ScalePaths
from nanokube.api.field import FieldError
from nanokube.api.objects import MutableObject, Object
from nanokube.api.steps import Steps, finish
from nanokube.api.table.columns import Columns
from nanokube.api.validation import names

# errors after which rules in CEL are not asked: their types cannot be trusted
_BLOCKING: Final = frozenset(
    (field.NOT_SUPPORTED, field.REQUIRED, field.TOO_LONG, field.TOO_MANY, field.TYPE_INVALID)
)
_RESETS: Final = {"": ("status",), "status": ("metadata", "spec")}  # what endpoints do not write
_STANDARD_FINALIZERS: Final = frozenset(("orphan", "foregroundDeletion", "kubernetes"))
_COSTLY: Final = (
    "root",
    "definition",
    "_is_clean",
    "_has_embedded",
    "_fill",
    "_table",
    "_status_table",
    "_has_unique_lists",
    "_readers",
)
_UNCHECKED: Final = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


class CustomKind:
    """What one version of a definition says of its objects.

    version: an entry of `spec.versions`. spec: of the definition.
    """

    def __init__(self, spec: Mapping[str, Any], version: Mapping[str, Any]) -> None:
        own = spec["names"]
        self.group: str = spec["group"]
        self.version: str = version["name"]
        self.kind: str = own["kind"]
        self.list_kind: str = own.get("listKind") or f"{own['kind']}List"
        self.api_version = f"{self.group}/{self.version}"
        self.stored_version: str = next(
            (v["name"] for v in spec["versions"] if v.get("storage")), self.version
        )
        self.is_deprecated = bool(version.get("deprecated"))
        subresources = version.get("subresources") or {}
        self.has_status = subresources.get("status") is not None
        self.preserves_unknown_fields = bool(spec.get("preserveUnknownFields"))
        self.is_prepared = False
        self._spec, self._row = spec, version

    @cached_property
    def schema(self) -> Mapping[str, Any] | None:
        """The openAPIV3Schema, if there is one."""
        return (self._row.get("schema") or {}).get("openAPIV3Schema")

    @cached_property
    def root(self) -> node.Node:
        """The schema as a tree."""
        return node.of(self.schema)

    @cached_property
    def definition(self) -> facts.Definition:
        """The fields as managed fields and server-side apply read them."""
        # what is remembered by name must not survive a change of the schema
        digest = hashlib.blake2b(orjson.dumps(self.schema), digest_size=8).hexdigest()
        resets = _RESETS if self.has_status else {}
        return shape.definition(self.root, f"{self.api_version}.{self.kind}#{digest}", resets)

    @cached_property
    def columns(self) -> Columns:
        """The table that kubectl prints."""
        return columns.of(self._row)

    @cached_property
    def scale(self) -> ScalePaths | None:
        """Where /scale reads and writes; None if there is none."""
        return scale.of(self._row)

    @cached_property
    def selectable_fields(self) -> frozenset[str]:
        """Labels that field selectors may use besides those of metadata."""
        return frozenset(self._readers)

    @cached_property
    def _readers(self) -> Mapping[str, Callable[[Any], list[Any]]]:
        return columns.readers(self._row)

    def read_fields(self, obj: Object) -> dict[str, str]:
        """Return the values of the selectable fields."""
        return {label: columns.show(find(obj)) for label, find in self._readers.items()}

    @property
    def deprecation_warning(self) -> str:
        """What clients of a deprecated version are told; "" if it is not deprecated."""
        return deprecation_warning(self._spec, self._row) if self.is_deprecated else ""

    # decoding

    @cached_property
    def _is_clean(self) -> prune.Check:
        return prune.compile_check(self.root, is_root=True)

    @cached_property
    def _has_embedded(self) -> bool:
        return metadata.has_embedded(self.root)

    def clean(self, obj: Mapping[str, Any]) -> tuple[MutableObject, list[str]]:
        """Prune an object in place; returns it and its `unknown field "…"` problems.

        Nulls that the schema has no place for are dropped, metadata made canonical. Raises ApiError (400) on
        metadata of the wrong types.
        """
        found = obj if type(obj) is dict else dict(obj)
        try:
            unknown = self._clean_metadata(found)
            if not self.preserves_unknown_fields and not self._is_clean(found):
                unknown += prune.prune(self.root, found, is_root=True)
                prune.drop_nulls(self.root, found)
            if self._has_embedded:
                metadata.coerce(self.root, found, "", unknown)
        except (walk.WrongType, metadata.Malformed) as error:
            message = f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {error}'
            raise errors.bad_request(message) from error
        return found, [f'unknown field "{path}"' for path in unknown]

    def _clean_metadata(self, obj: MutableObject) -> list[str]:
        if "metadata" not in obj:
            return []
        obj["metadata"], unknown = metadata.clean(obj["metadata"] or {})
        return [f"metadata.{path}" for path in unknown]

    # defaults

    @cached_property
    def _fill(self) -> fill.Fill | None:
        return fill.compile_fill(self.root)

    def apply_defaults(self, obj: MutableObject) -> None:
        """Fill in default values, in place."""
        if self._fill is not None:
            self._fill(obj)

    # validation

    @cached_property
    def _table(self) -> checks.Table:
        return checks.compile_table(self.schema or {})

    @cached_property
    def _status_table(self) -> checks.Table:
        return checks.compile_table(((self.schema or {}).get("properties") or {}).get("status") or {})

    @cached_property
    def _has_unique_lists(self) -> bool:
        return unique.has_unique_lists(self.root)

    def validate(
        self,
        obj: Object,
        old: Object | None = None,
        *,
        subresource: str = "",
        told: Sequence[FieldError] = (),
    ) -> list[FieldError]:
        """Return what is wrong with an object apart from its own metadata.

        old: what it replaces; its unchanged parts may stay wrong. subresource: "status" or "".
        told: what is wrong with its metadata.
        """
        found = self._validate_type(obj)
        if found:
            return found
        if subresource == "status":
            found = self._validate_status(obj, old or {})
        else:
            tolerates = correlate.tolerates(self.root, obj, old) if old is not None else None
            problems = Problems("", tolerates)
            checks.run(self._table, obj, None, problems)
            problems.forgive(None, 0)
            found = [*problems, *(self.scale.validate(obj) if self.scale is not None else ())]
        if self._has_embedded and subresource != "status":
            found += metadata.validate(self.root, obj)
        if self._has_unique_lists and (old is None or not unique.validate(self.root, old)):
            found += unique.validate(self.root, obj)
        return found + self._validate_rules(obj, old, [*told, *found])

    def _validate_type(self, obj: Object) -> list[FieldError]:
        wanted = {"kind": self.kind, "apiVersion": self.api_version}
        return [
            field.invalid(k, obj.get(k, ""), f"must be {v}") for k, v in wanted.items() if obj.get(k) != v
        ]

    def _validate_status(self, obj: Object, old: Object) -> list[FieldError]:
        problems = Problems("status")
        if "status" in obj:
            below = self.root.child("status")
            if below is not None and "status" in old:
                problems.tolerates = correlate.tolerates(below, obj["status"], old["status"])
            checks.run(self._status_table, obj["status"], None, problems)
            problems.forgive(None, 0)
        return [*problems, *(self.scale.validate(obj, is_status=True) if self.scale is not None else ())]

    @cached_property
    def _rules(self) -> rule_tree.RuleNode | None:
        return finish(rule_tree.compile_tree(self.root))

    def prepare(self) -> Steps[None]:
        """Make what writes need, of which each may take some 10 ms if the schema has a megabyte."""
        for name in _COSTLY:
            getattr(self, name)
            yield
        if "_rules" not in self.__dict__:
            self.__dict__["_rules"] = yield from rule_tree.compile_tree(self.root)
        self.is_prepared = True

    def _validate_rules(self, obj: Object, old: Object | None, found: list[FieldError]) -> list[FieldError]:
        if self._rules is None:
            return []
        if any(error.type in _BLOCKING for error in found):
            return [field.invalid(NOWHERE, None, _UNCHECKED)]
        return rule_tree.validate(self._rules, obj, correlate.MISSING if old is None else old)


def deprecation_warning(spec: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return the warning of a deprecated version: its own, or which one to use instead."""
    own = row.get("deprecationWarning")
    if own is not None:
        return str(own)
    kind, group, rank = spec["names"]["kind"], spec["group"], versions.rank(row["name"])
    text = f"{group}/{row['name']} {kind} is deprecated"
    served = (v["name"] for v in spec["versions"] if v.get("served") and not v.get("deprecated"))
    better = sorted((name for name in served if versions.rank(name) < rank), key=versions.rank)
    return f"{text}; use {group}/{better[0]} {kind}" if better else text


def finalizer_warnings(obj: Object, old: Object | None = None) -> list[str]:
    """Return what to say of finalizers that an object newly has: each should name whose it is."""
    found: list[str] = []
    for name in sorted(set(objects.finalizers(obj)) - set(objects.finalizers(old or {}))):
        said = [*names.qualified_name(name)]
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in name else ""
            said.append(
                f"prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other "
                "finalizer writers"
            )
        found += (f"metadata.finalizers: {field.quote(name)}: {each}" for each in said)
    return found
