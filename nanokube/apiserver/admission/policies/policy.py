"""Admission policies and their bindings as they are configured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanokube.api.cel.admission import Scope
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.criteria import Criteria

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """criteria None: what the policy is about."""

    name: str
    criteria: Criteria | None
    param: Object | None
    actions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Validation:
    """message_expression: empty for none."""

    expression: str
    message: str
    message_expression: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """is_apply: the expression gives an apply configuration; else a list of JSONPatch."""

    expression: str
    is_apply: bool


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy with the bindings that make it act. param_kind: (apiVersion, kind)."""

    name: str
    criteria: Criteria
    bindings: Sequence[Binding]
    param_kind: tuple[str, str] | None
    conditions: Conditions | None
    scope: Scope
    is_fatal: bool
    validations: Sequence[Validation] = ()
    annotations: Sequence[tuple[str, str]] = ()
    mutations: Sequence[Mutation] = ()
    is_repeated: bool = False


def bound(bindings: Iterable[Object]) -> dict[str, list[Object]]:
    """Sort bindings by the policy that they bind, in order of their names."""
    found: dict[str, list[Object]] = {}
    for binding in sorted(bindings, key=_name):
        found.setdefault(binding["spec"].get("policyName") or "", []).append(binding)
    return found


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _binding(binding: Object) -> Binding:
    spec = binding["spec"]
    match = spec.get("matchResources")
    return Binding(
        _name(binding),
        Criteria.read(match) if match is not None else None,
        spec.get("paramRef"),
        spec.get("validationActions") or (),
    )


def scope_of(spec: Object) -> Scope:
    """Read what a policy's expressions may refer to."""
    variables = tuple((v["name"], v["expression"]) for v in spec.get("variables") or ())
    return Scope(has_params=spec.get("paramKind") is not None, variables=variables)


def read(policy: Object, bindings: Iterable[Object]) -> Policy:
    """Read a policy with its bindings."""
    spec = policy["spec"]
    kind, scope = spec.get("paramKind"), scope_of(spec)
    conditions, is_fatal = spec.get("matchConditions"), spec.get("failurePolicy") != "Ignore"
    return Policy(
        _name(policy),
        Criteria.read(spec.get("matchConstraints")),
        [_binding(binding) for binding in bindings],
        (kind.get("apiVersion") or "", kind.get("kind") or "") if kind is not None else None,
        _conditions(conditions, scope, is_fatal=is_fatal) if conditions else None,
        scope,
        is_fatal,
        [_validation(v) for v in spec.get("validations") or ()],
        [(a["key"], a["valueExpression"]) for a in spec.get("auditAnnotations") or ()],
        [_mutation(m) for m in spec.get("mutations") or ()],
        spec.get("reinvocationPolicy") == "IfNeeded",
    )


def _conditions(conditions: Sequence[Object], scope: Scope, *, is_fatal: bool) -> Conditions:
    """Read matchConditions; those that use no variables are the same expressions for all policies."""
    uses_variables = any("variables" in c["expression"] for c in conditions)
    plain = scope if uses_variables else Scope(has_params=scope.has_params)
    return Conditions.read(conditions, is_fatal=is_fatal, scope=plain)


def _validation(found: Object) -> Validation:
    return Validation(
        found["expression"],
        found.get("message") or "",
        found.get("messageExpression") or "",
        found.get("reason") or "Invalid",
    )


def _mutation(found: Object) -> Mutation:
    is_apply = found.get("patchType") == "ApplyConfiguration"
    body = found.get("applyConfiguration" if is_apply else "jsonPatch") or {}
    return Mutation(body.get("expression") or "", is_apply)
