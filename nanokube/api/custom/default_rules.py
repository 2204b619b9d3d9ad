"""What must hold of default values: they are valid, and have no unknown fields. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from nanokube.api import field, objects
from nanokube.api.custom import checks, metadata, prune, rule_tree
from nanokube.api.custom.node import META_FIELDS, Node
from nanokube.api.custom.problems import Problems
from nanokube.api.field import FieldError
from nanokube.api.steps import finish


def validate(root: Node, path: str, requires_pruned: bool) -> list[FieldError]:
    """Check the defaults of a schema."""
    if not _has_defaults(root):
        return []
    return _validate(root, path, is_root=True, is_in_meta=False, requires_pruned=requires_pruned)


def _has_defaults(node: Node) -> bool:
    return node.default is not None or any(_has_defaults(child) for _, child in node.children())


def _validate(
    node: Node, path: str, *, is_root: bool, is_in_meta: bool, requires_pruned: bool
) -> list[FieldError]:
    found: list[FieldError] = []
    is_resource = is_root or node.is_embedded
    if is_resource:
        is_in_meta = False
    if node.default is not None:
        whole = dataclasses.replace(node, is_embedded=True) if is_root else node
        found += _validate_default(whole, f"{path}.default", is_in_meta, requires_pruned)
    if node.items is not None:
        found += _validate(
            node.items, f"{path}.items", is_root=False, is_in_meta=is_in_meta, requires_pruned=requires_pruned
        )
    for key, child in node.properties.items():
        found += _validate(
            child,
            f"{path}.properties[{key}]",
            is_root=False,
            is_in_meta=is_in_meta or (is_resource and key in META_FIELDS),
            requires_pruned=requires_pruned,
        )
    return found


def _validate_default(node: Node, path: str, is_in_meta: bool, requires_pruned: bool) -> list[FieldError]:
    default, found = node.default, list[FieldError]()
    if not is_in_meta and requires_pruned:
        pruned = objects.copy(default)
        if prune.prune(node, pruned):
            found.append(field.invalid(path, default, "must not have unknown fields"))
    unknown: list[str] = []
    try:
        metadata.coerce(node, objects.copy(default), "", unknown)
    except metadata.Malformed as error:
        return [*found, field.invalid(f"{path}.{error.path}", error.value, str(error.args[0]))]
    broken = [_below(error, path) for error in metadata.validate(node, default)] or _check(
        node, default, path
    )
    return found + (broken or _check_rules(node, default, path))


def _check_rules(node: Node, default: Any, path: str) -> list[FieldError]:
    """Check a default as one that stays, and as one that comes."""
    tree = finish(rule_tree.compile_tree(node, is_root=False))
    if tree is None:
        return []
    stays = rule_tree.validate(tree, default, default, path=path, ratchets=False)
    return stays or rule_tree.validate(tree, default, path=path)


def _below(error: FieldError, path: str) -> FieldError:
    return FieldError(error.type, f"{path}.{error.path}", error.value, error.detail)


def _check(node: Node, default: Any, path: str) -> list[FieldError]:
    problems = Problems(path)
    checks.run(checks.compile_table(node.schema), default, None, problems)
    return list(problems)
