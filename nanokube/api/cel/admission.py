"""CEL as webhooks and policies have it: which variables there are, and each expression compiled once. Pure.

Source: staging apiserver pkg/admission/plugin/cel/compile.go.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.cel import syntax, types
from nanokube.api.cel.environment import Environment, Program
from nanokube.api.cel.errors import CompileError
from nanokube.api.cel.syntax import Expr, ListExpr, MapExpr, Struct
from nanokube.api.cel.types import Type

_KEPT: Final = 8192  # compiled expressions, a few KB each
_TEXTS: Final = types.list_of(types.STRING)
_KIND: Final = types.struct(
    "kubernetes.GroupVersionKind", {name: types.STRING for name in ("group", "version", "kind")}
)
_RESOURCE: Final = types.struct(
    "kubernetes.GroupVersionResource", {name: types.STRING for name in ("group", "version", "resource")}
)
_USER: Final = types.struct(
    "kubernetes.UserInfo",
    {
        "username": types.STRING,
        "uid": types.STRING,
        "groups": _TEXTS,
        "extra": types.map_of(types.STRING, _TEXTS),
    },
)
REQUEST: Final = types.struct(
    "kubernetes.AdmissionRequest",
    {
        "kind": _KIND,
        "resource": _RESOURCE,
        "subResource": types.STRING,
        "requestKind": _KIND,
        "requestResource": _RESOURCE,
        "requestSubResource": types.STRING,
        "name": types.STRING,
        "namespace": types.STRING,
        "operation": types.STRING,
        "userInfo": _USER,
        "dryRun": types.BOOL,
        "options": types.DYN,
    },
)
_PAIRS: Final = types.map_of(types.STRING, types.STRING)
_CONDITION: Final = types.struct(
    "kubernetes.NamespaceCondition",
    {
        "status": types.STRING,
        "type": types.STRING,
        "lastTransitionTime": types.TIMESTAMP,
        "message": types.STRING,
        "reason": types.STRING,
    },
)
_METADATA: Final = types.struct(
    "kubernetes.NamespaceMetadata",
    {
        "name": types.STRING,
        "generateName": types.STRING,
        "namespace": types.STRING,
        "labels": _PAIRS,
        "annotations": _PAIRS,
        "UID": types.STRING,
        "creationTimestamp": types.TIMESTAMP,
        "deletionGracePeriodSeconds": types.INT,
        "deletionTimestamp": types.TIMESTAMP,
        "generation": types.INT,
        "resourceVersion": types.STRING,
        "finalizers": _TEXTS,
    },
)
NAMESPACE: Final = types.struct(
    "kubernetes.Namespace",
    {
        "metadata": _METADATA,
        "spec": types.struct("kubernetes.NamespaceSpec", {"finalizers": _TEXTS}),
        "status": types.struct(
            "kubernetes.NamespaceStatus", {"conditions": types.list_of(_CONDITION), "phase": types.STRING}
        ),
    },
)
DECLARED: Final[Mapping[str, Type]] = {"namespaceObject": NAMESPACE, "request": REQUEST}

Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may refer to. variables: (name, expression) pairs, each over those before it."""

    has_params: bool = False
    has_authorizer: bool = True
    is_patch: bool = False
    variables: Variables = ()


@functools.cache
def _base(has_params: bool, has_authorizer: bool, is_patch: bool) -> Environment:
    declared: dict[str, Type] = {"object": types.DYN, "oldObject": types.DYN, **DECLARED}
    if has_params:
        declared["params"] = types.DYN
    if has_authorizer:
        declared["authorizer"] = types.AUTHORIZER
        declared["authorizer.requestResource"] = types.RESOURCE_CHECK
    return _patching(declared) if is_patch else Environment(declared)


class _AnyField(Mapping[str, Type]):
    """The fields of an object of which nothing is known: whatever is asked for, of any type."""

    def __getitem__(self, name: str) -> Type:
        return types.DYN

    def __contains__(self, name: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


OBJECT: Final = types.struct("Object", _AnyField())


class _Structs(dict[str, Type]):
    """Also knows Object, Object.spec, Object.spec.template and so on."""

    def get(self, name: str, default: Any = None) -> Any:
        if name == "Object" or name.startswith("Object."):
            return types.struct(name, OBJECT.fields or {})
        return super().get(name, default)


def _patching(declared: Mapping[str, Type]) -> Environment:
    """Make the environment of expressions that build patches."""
    found = Environment(declared, structs={"JSONPatch": types.JSON_PATCH}, json_patch=True)
    found.structs = _Structs(found.structs)
    return found


@functools.lru_cache(maxsize=1024)
def environment(scope: Scope) -> Environment:
    """Make the environment of a scope. Raises CompileError if a variable does not compile."""
    found = _base(scope.has_params, scope.has_authorizer, scope.is_patch)
    for name, source in scope.variables:
        found = found.compose(name, found.compile(source))
    return found


@functools.lru_cache(maxsize=_KEPT)
def compiled(scope: Scope, source: str, returns: tuple[Type, ...]) -> Program | str:
    """Compile an expression, or give the reason why it cannot be."""
    try:
        return environment(scope).compile(source, returns=returns)
    except CompileError as err:
        return str(err)


@functools.lru_cache(maxsize=_KEPT)
def misnamed(scope: Scope, source: str, returns: tuple[Type, ...]) -> str:
    """Find an Object{} that is not named after the field it is the value of; returns what is wrong, or ""."""
    program = compiled(scope, source, returns)
    return "" if isinstance(program, str) else _misnamed(program.checked.root)


def _misnamed(root: Expr) -> str:
    for node in syntax.walk(root):
        if not isinstance(node, Struct) or not node.name.startswith("Object"):
            continue
        for entry in node.entries:
            wanted = f"{node.name}.{entry.key}"
            wrong = next((each.name for each in _objects(entry.value) if each.name != wanted), "")
            if wrong:
                return (
                    f'type mismatch: unexpected type name "{wrong}", expected "{wanted}", '
                    "which matches field name path from root Object type"
                )
    return ""


def _objects(value: Expr) -> Iterator[Struct]:
    """Yield the objects that a value is, or that are in its lists and maps."""
    match value:
        case Struct():
            yield value
        case ListExpr():
            for element in value.elements:
                yield from _objects(element)
        case MapExpr():
            for entry in value.entries:
                yield from _objects(entry.value)
