"""Checks a policy's expressions against the types of what it is about, to warn of what cannot work. Pure.

Source: staging apiserver pkg/admission/plugin/policy/validating/typechecking.go.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from nanokube.api import facts
from nanokube.api.cel import admission, types
from nanokube.api.cel.environment import Environment
from nanokube.api.cel.errors import CompileError
from nanokube.api.cel.types import Type
from nanokube.api.resources import Resource

MAX_TYPES: Final = 10
_SCALARS: Final[Mapping[str, Type]] = {
    "s": types.STRING,
    "b": types.BOOL,
    "i": types.INT,
    "l": types.INT,
    "n": types.DOUBLE,
    "y": types.BYTES,
    "t": types.TIMESTAMP,
    "u": types.TIMESTAMP,
}
Object = Mapping[str, Any]
Find = Callable[[str, str, str], Resource | None]
ByKind = Callable[[str, str], Resource | None]
TypeOf = Callable[[Resource], Type]


def warnings(policy: Object, find: Find, by_kind: ByKind, type_of: TypeOf) -> list[dict[str, str]]:
    """List the ExpressionWarnings of a policy. find, by_kind: resources; type_of: what their objects are."""
    spec = policy["spec"]
    params = _params(spec, by_kind, type_of)
    kinds = [(resource, _environment(spec, type_of(resource), params)) for resource in _resources(spec, find)]
    found = []
    for index, validation in enumerate(spec.get("validations") or ()):
        for key in ("expression", "messageExpression"):
            source = validation.get(key) or ""
            problems = [_problem(resource, env, source) for resource, env in kinds] if source else []
            text = "\n".join(problem for problem in problems if problem)
            if text:
                found.append({"fieldRef": f"spec.validations[{index}].{key}", "warning": text})
    return found


def _params(spec: Object, by_kind: ByKind, type_of: TypeOf) -> Type | None:
    kind = spec.get("paramKind")
    if kind is None:
        return None
    resource = by_kind(kind.get("apiVersion") or "", kind.get("kind") or "")
    return type_of(resource) if resource is not None else types.DYN


def _environment(spec: Object, objects: Type, params: Type | None) -> Environment | str:
    declared = {
        **admission.DECLARED,
        "object": objects,
        "oldObject": objects,
        "authorizer": types.AUTHORIZER,
        "authorizer.requestResource": types.RESOURCE_CHECK,
        **({"params": params} if params is not None else {}),
    }
    found = Environment(declared)
    for variable in spec.get("variables") or ():
        try:
            found = found.compose(variable["name"], found.compile(variable["expression"]))
        except CompileError as err:
            return str(err)
    return found


def _problem(resource: Resource, environment: Environment | str, source: str) -> str:
    about = f"{resource.api_version}, Kind={resource.kind}"
    if isinstance(environment, str):
        return f"{about}: {environment}\n"
    try:
        environment.compile(source)
    except CompileError as err:
        return f"{about}: {err}\n"
    return ""


def _resources(spec: Object, find: Find) -> list[Resource]:
    """List the resources that the policy names; with wildcards it names none."""
    found: dict[tuple[str, str, str], Resource] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        for group, version, plural in _named(rule):
            resource = find(group, version, plural)
            if resource is not None and len(found) < MAX_TYPES:
                found[(resource.group, resource.version, resource.kind)] = resource
    return [found[key] for key in sorted(found)]


def _named(rule: Object) -> Iterator[tuple[str, str, str]]:
    groups: Sequence[str] = sorted(rule.get("apiGroups") or ())
    versions: Sequence[str] = sorted(rule.get("apiVersions") or ())
    if any("*" in text for text in (*groups, *versions)):
        return
    plurals = sorted(p for p in rule.get("resources") or () if "*" not in p and "/" not in p)
    yield from ((group, version, plural) for group in groups for version in versions for plural in plurals)


@functools.cache
def built_in(definition: str) -> Type:
    """Declare the type of a built-in kind by its name in the table of facts."""
    return _struct(facts.definition(definition), ())


def _struct(definition: facts.Definition, above: tuple[str, ...]) -> Type:
    if definition.scalar is not None:
        return _SCALARS.get(definition.scalar.code, types.DYN)
    if definition.name in above:
        return types.DYN
    inner = (*above, definition.name)
    return types.struct(
        definition.name, {key: _type(field.type, inner) for key, field in definition.fields.items()}
    )


def _type(found: facts.Type, above: tuple[str, ...]) -> Type:
    if found.code == "@":
        return _struct(facts.struct_of(found), above)
    if found.code == "a" and found.item is not None:
        return types.list_of(_type(found.item, above))
    if found.code == "m" and found.item is not None:
        return types.map_of(types.STRING, _type(found.item, above))
    return _SCALARS.get(found.code, types.DYN)
