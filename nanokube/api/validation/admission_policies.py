"""Validation of admission policies and their bindings. Pure.

Source: pkg/apis/admissionregistration/validation/validation.go.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from nanokube.api import field, objects
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.types import Type
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import conditions, expressions, formats, metadata, names, webhooks

_ACTIONS: Final = ("Audit", "Deny", "Warn")
_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_PATCH_TYPES: Final = ("ApplyConfiguration", "JSONPatch")
_MUTATING_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "UPDATE")
_MAX_ANNOTATIONS: Final = 20
_MAX_EXPRESSION_BYTES: Final = 5 * 1024
_IDENTIFIER: Final = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED: Final = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
        "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip
_ONE_OF_THEM: Final = "validations or auditAnnotations must contain at least one item"


def validate_validating(obj: Object) -> list[FieldError]:
    """Check a ValidatingAdmissionPolicy."""
    spec = objects.spec(obj)
    scope, found = _shared(spec)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        return [
            *found,
            *(field.required(f"spec.{k}", _ONE_OF_THEM) for k in ("validations", "auditAnnotations")),
        ]
    for index, each in enumerate(validations):
        found += _validation(each, scope, f"spec.validations[{index}]")
    if len(annotations) > _MAX_ANNOTATIONS:
        detail = f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations"
        found.append(field.invalid("spec.auditAnnotations", annotations, detail))
    seen = set[str]()
    for index, each in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", each.get("key") or ""
        found += _annotation(each, objects.name(obj), scope, path)
        if key in seen:
            found.append(field.duplicate(f"{path}.key", key))
        seen.add(key)
    return found


def validate_mutating(obj: Object) -> list[FieldError]:
    """Check a MutatingAdmissionPolicy."""
    spec = objects.spec(obj)
    scope, found = _shared(spec)
    found += _mutating_operations(spec.get("matchConstraints"), "spec.matchConstraints")
    scope = dataclasses.replace(scope, is_patch=True)
    mutations = spec.get("mutations") or ()
    if not mutations:
        found.append(field.required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(mutations):
        found += _mutation(mutation, scope, f"spec.mutations[{index}]")
    policy = spec.get("reinvocationPolicy")
    if not policy:
        return [*found, field.required("spec.reinvocationPolicy")]
    return found + formats.choice(policy, webhooks.REINVOCATIONS, "spec.reinvocationPolicy")


def validate_validating_binding(obj: Object) -> list[FieldError]:
    """Check a ValidatingAdmissionPolicyBinding."""
    found = _binding(objects.spec(obj))
    path, actions = "spec.validationActions", objects.spec(obj).get("validationActions") or []
    for index, action in enumerate(actions):
        found += formats.choice(action, _ACTIONS, f"{path}[{index}]")
        if action in actions[:index]:
            found.append(field.duplicate(f"{path}[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the "
            "API response and headers serves no purpose)"
        )
        found.append(field.invalid(path, actions, detail))
    if not actions:
        found.append(field.required(path, "at least one validation action is required"))
    return found


def validate_mutating_binding(obj: Object) -> list[FieldError]:
    """Check a MutatingAdmissionPolicyBinding."""
    spec = objects.spec(obj)
    return _binding(spec) + _mutating_operations(spec.get("matchResources"), "spec.matchResources")


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a ValidatingAdmissionPolicy."""
    status, found = objects.status(new), list[FieldError]()
    for index, warning in enumerate((status.get("typeChecking") or {}).get("expressionWarnings") or ()):
        path = f"status.typeChecking.expressionWarnings[{index}]"
        for key in ("warning", "fieldRef"):
            if not (warning.get(key) or "").strip():
                found.append(field.required(f"{path}.{key}"))
    return found + conditions.validate(status.get("conditions") or (), "status.conditions")


def _binding(spec: Object) -> list[FieldError]:
    found = formats.required_name(spec.get("policyName"), names.dns_subdomain, "spec.policyName")
    found += _param_ref(spec.get("paramRef"), "spec.paramRef")
    return found + _match(spec.get("matchResources"), "spec.matchResources")


def _mutating_operations(match: Object | None, path: str) -> list[FieldError]:
    return [
        error
        for rule in (match or {}).get("resourceRules") or ()
        for operation in rule.get("operations") or ()
        for error in formats.choice(operation, _MUTATING_OPERATIONS, f"{path}.resourceRules.operations")
    ]


def _shared(spec: Object) -> tuple[Scope, list[FieldError]]:
    """Check what both kinds have, and say what their expressions may refer to."""
    policy = spec.get("failurePolicy")
    if policy is None:
        found = [field.required("spec.failurePolicy")]
    else:
        found = formats.choice(policy, webhooks.FAILURE_POLICIES, "spec.failurePolicy")
    found += _param_kind(spec.get("paramKind"), "spec.paramKind")
    match = spec.get("matchConstraints")
    if match is None:
        found.append(field.required("spec.matchConstraints"))
    else:
        found += _match(match, "spec.matchConstraints")
        if not match.get("resourceRules"):
            found.append(field.required("spec.matchConstraints.resourceRules"))
    scope = Scope(has_params=spec.get("paramKind") is not None)
    found += webhooks.match_conditions(
        spec.get("matchConditions") or (), "spec.matchConditions", has_params=scope.has_params
    )
    for index, variable in enumerate(spec.get("variables") or ()):
        found += _variable(variable, scope, f"spec.variables[{index}]")
        name, expression = variable.get("name") or "", variable.get("expression") or ""
        if _is_identifier(name) and expression.strip():
            scope = expressions.with_variable(scope, name, expression)
    return scope, found


def _param_kind(kind: Object | None, path: str) -> list[FieldError]:
    if kind is None:
        return []
    api_version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    found = _group_version(api_version, f"{path}.apiVersion")
    if not name:
        return [*found, field.required(f"{path}.kind")]
    messages = names.dns1035_label(name.lower())
    if messages:
        detail = f"may have mixed case, but should otherwise match: {','.join(messages)}"
        found.append(field.invalid(f"{path}.kind", name, detail))
    return found


def _group_version(text: str, path: str) -> list[FieldError]:
    if not text:
        return [field.required(path)]
    if text.count("/") > 1:
        return [field.invalid(path, text, f"unexpected GroupVersion string: {text}")]
    group, _, version = text.rpartition("/")
    found: list[FieldError] = []
    if group and (messages := names.dns_subdomain(group)):
        found.append(field.invalid(path, group, ",".join(messages)))
    if not version:
        found.append(field.invalid(path, text, "version must be specified"))
    elif messages := names.dns1035_label(version):
        found.append(field.invalid(path, version, ",".join(messages)))
    return found


def _match(match: Object | None, path: str) -> list[FieldError]:
    if match is None:
        return []
    policy = match.get("matchPolicy")
    if policy is None:
        found = [field.required(f"{path}.matchPolicy")]
    else:
        found = formats.choice(policy, webhooks.MATCH_POLICIES, f"{path}.matchPolicy")
    for key in ("namespaceSelector", "objectSelector"):
        if match.get(key) is None:
            found.append(field.required(f"{path}.{key}"))
        found += metadata.label_selector(match.get(key), f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(key) or ()):
            found += _named_rule(rule, f"{path}.{key}[{index}]")
    return found


def _named_rule(rule: Object, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, name in enumerate(rule.get("resourceNames") or ()):
        found += formats.each(formats.path_segment, name, f"{path}.resourceNames[{index}]")
        if name in seen:
            found.append(field.duplicate(f"{path}.resourceNames[{index}]", name))
        seen.add(name)
    return found + webhooks.rule_with_operations(rule, path)


def _is_identifier(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def _variable(variable: Object, scope: Scope, path: str) -> list[FieldError]:
    name, found = variable.get("name") or "", list[FieldError]()
    if not name.strip():
        found.append(field.required(f"{path}.name", "name is not specified"))
    elif not _is_identifier(name):
        found.append(field.invalid(f"{path}.name", name, "must be a valid CEL identifier"))
    return found + _expression(variable, scope, expressions.ANY, f"{path}.expression")


def _expression(holder: Object, scope: Scope, returns: tuple[Type, ...], path: str) -> list[FieldError]:
    expression = holder.get("expression") or ""
    if not expression.strip():
        return [field.required(path, "expression is not specified")]
    return expressions.check(scope, expression, returns, path)


def _validation(validation: Object, scope: Scope, path: str) -> list[FieldError]:
    found = _expression(validation, scope, expressions.BOOL, f"{path}.expression")
    for key in ("messageExpression", "message"):
        text = validation.get(key) or ""
        if text and not text.strip():
            found.append(field.invalid(f"{path}.{key}", text, "must be non-empty if specified"))
        elif key == "messageExpression" and text:
            # messages may not ask the authorizer, but may read variables that did
            is_asked = any("authorizer" in source for _, source in scope.variables)
            telling = dataclasses.replace(scope, has_authorizer=is_asked)
            found += expressions.check(telling, text, expressions.TEXT, f"{path}.{key}")
        elif key == "message" and re.search("[\n\r]", text.strip()):
            found.append(field.invalid(f"{path}.{key}", text, "must not contain line breaks"))
    return found + formats.optional_choice(validation.get("reason"), _REASONS, f"{path}.reason")


def _annotation(annotation: Object, policy: str, scope: Scope, path: str) -> list[FieldError]:
    key, found = annotation.get("key") or "", list[FieldError]()
    if policy:
        found += formats.each(names.qualified_name, f"{policy}/{key}", f"{path}.key")
    else:
        found.append(field.invalid(f"{path}.key", key, "requires metadata.name be non-empty"))
    expression, where = (annotation.get("valueExpression") or "").strip(), f"{path}.valueExpression"
    if not expression:
        found.append(field.required(where, "valueExpression is not specified"))
    elif len(expression.encode()) > _MAX_EXPRESSION_BYTES:
        found.append(field.required(where, f"must not exceed {_MAX_EXPRESSION_BYTES} bytes in length"))
    else:
        written = annotation.get("valueExpression")
        found += expressions.check(scope, expression, expressions.TEXT_OR_NULL, where, shown=written)
    return found


def _mutation(mutation: Object, scope: Scope, path: str) -> list[FieldError]:
    kind = mutation.get("patchType") or ""
    if not kind:
        return [field.required(f"{path}.patchType")]
    if kind not in _PATCH_TYPES:
        return [field.not_supported(f"{path}.patchType", kind, _PATCH_TYPES)]
    fields = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}
    wanted, found = fields.pop(kind), list[FieldError]()
    if mutation.get(wanted) is None:
        found.append(field.required(f"{path}.{wanted}", f"must be specified when patchType is {kind}"))
    elif not (expression := (mutation[wanted].get("expression") or "").strip()):
        found.append(field.required(f"{path}.{wanted}.expression"))
    else:
        returns = expressions.PATCHES if kind == "JSONPatch" else expressions.OBJECT
        found += expressions.check(scope, expression, returns, f"{path}.{wanted}.expression")
    for other in fields.values():
        if mutation.get(other) is not None:
            detail = f"must not be specified when patchType is {kind}"
            found.append(field.invalid(f"{path}.{other}", f"{{{other}}}", detail))
    return found


def _param_ref(ref: Object | None, path: str) -> list[FieldError]:
    if ref is None:
        return []
    name, selector, found = ref.get("name") or "", ref.get("selector"), list[FieldError]()
    exclusive = "name and selector are mutually exclusive"
    if name:
        found += formats.each(formats.path_segment, name, f"{path}.name")
        if selector is not None:
            found.append(field.forbidden(f"{path}.name", exclusive))
    if selector is not None:
        found += metadata.label_selector(selector, f"{path}.selector")
        if name:
            found.append(field.forbidden(f"{path}.selector", exclusive))
    if not name and selector is None:
        found.append(field.required(path, "one of name or selector must be specified"))
    action, where = ref.get("parameterNotFoundAction"), f"{path}.parameterNotFoundAction"
    if not action:
        found.append(field.required(where))
    elif action not in ("Deny", "Allow"):
        found.append(field.not_supported(where, action, ("Deny", "Allow")))
    return found
