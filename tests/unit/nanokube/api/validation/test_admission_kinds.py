"""Webhook configurations, admission policies and their bindings: what is refused, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"
MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
POLICY = "validatingadmissionpolicies.admissionregistration.k8s.io"
MUTATING_POLICY = "mutatingadmissionpolicies.admissionregistration.k8s.io"
BINDING = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
MUTATING_BINDING = "mutatingadmissionpolicybindings.admissionregistration.k8s.io"
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
HOOK = {
    "name": "a.b.c",
    "clientConfig": {"url": "https://example.com/hook"},
    "rules": [RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
HOOKS = {"webhooks": [HOOK]}
SERVICE = {"service": {"namespace": "d", "name": "s", "path": "/a"}}
H = "webhooks[0]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({f"{H}.clientConfig": SERVICE}, []),
        ({f"{H}.name": ""}, [f"{H}.name: Required value"]),
        ({f"{H}.name": "a.b"},
         [f'{H}.name: Invalid value: "a.b": should be a domain with at least three segments separated by '
          f'dots']),
        ({"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "a.b.c"']),
        ({f"{H}.clientConfig": {}},
         [f"{H}.clientConfig: Required value: exactly one of url or service is required"]),
        ({f"{H}.clientConfig": {"url": "x", **SERVICE}},
         [f"{H}.clientConfig: Required value: exactly one of url or service is required"]),
        ({f"{H}.clientConfig.url": "http://u@h/?a=b#f"},
         [f"{H}.clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired "
          "format: https://host[/path]",
          f'{H}.clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
          f'{H}.clientConfig.url: Invalid value: "f": fragments are not permitted in the URL',
          f'{H}.clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL']),
        ({f"{H}.clientConfig.url": "https:///p"},
         [f'{H}.clientConfig.url: Invalid value: "": host must be specified; desired format: '
          "https://host[/path]"]),
        ({f"{H}.clientConfig": {"service": {"namespace": "d", "name": ""}}},
         [f"{H}.clientConfig.service.namespace: Required value"]),
        ({f"{H}.clientConfig": {"service": {"namespace": "d", "name": "s", "port": 70000}}},
         [f"{H}.clientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and "
          "65535, inclusive"]),
        ({f"{H}.clientConfig": {"service": {"namespace": "d", "name": "s", "path": "a//b"}}},
         [f"{H}.clientConfig.service.path: Invalid value: \"a//b\": must start with a '/'",
          f'{H}.clientConfig.service.path: Invalid value: "a//b": segment[0] may not be empty']),
        ({f"{H}.sideEffects": "Some"},
         [f'{H}.sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"']),
        ({f"{H}.timeoutSeconds": 31},
         [f"{H}.timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"]),
        ({f"{H}.failurePolicy": "x"},
         [f'{H}.failurePolicy: Unsupported value: "x": supported values: "Fail", "Ignore"']),
        ({f"{H}.matchPolicy": "x"},
         [f'{H}.matchPolicy: Unsupported value: "x": supported values: "Equivalent", "Exact"']),
        ({f"{H}.admissionReviewVersions": []},
         [f"{H}.admissionReviewVersions: Required value: must specify one of v1, v1beta1"]),
        ({f"{H}.admissionReviewVersions": ["v2", "v2"]},
         [f'{H}.admissionReviewVersions[1]: Invalid value: "v2": duplicate version',
          f'{H}.admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, '
          f'v1beta1']),
        ({f"{H}.rules": [{}]},
         [f"{H}.rules[0].operations: Required value", f"{H}.rules[0].apiGroups: Required value",
          f"{H}.rules[0].apiVersions: Required value", f"{H}.rules[0].resources: Required value"]),
        ({f"{H}.rules[0].operations": ["*", "GET"]},
         [f'{H}.rules[0].operations: Invalid value: ["*","GET"]: if \'*\' is present, must not specify other '
          "operations",
          f'{H}.rules[0].operations[1]: Unsupported value: "GET": supported values: "*", "CONNECT", '
          f'"CREATE", '
          '"DELETE", "UPDATE"']),
        ({f"{H}.rules[0].resources": ["a/*", "a/b", "*/b", "c/b", "*", "d"]},
         [f"{H}.rules[0].resources[1]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b",
          f"{H}.rules[0].resources[3]: Invalid value: \"c/b\": if '*/b' is present, must not specify c/b",
          f'{H}.rules[0].resources: Invalid value: ["a/*","a/b","*/b","c/b","*","d"]: if \'*\' is present, '
          "must not specify other resources without subresources"]),
        ({f"{H}.rules[0].scope": "x"},
         [f'{H}.rules[0].scope: Unsupported value: "x": supported values: "*", "Cluster", "Namespaced"']),
        ({f"{H}.matchConditions": [{"name": "a b", "expression": " "}]},
         [f"{H}.matchConditions[0].expression: Required value",
          f'{H}.matchConditions[0].name: Invalid value: "a b": name part must consist of']),
        ({f"{H}.matchConditions": [{"name": "a", "expression": "1"},
                                   {"name": "b", "expression": "params.x"}]},
         [f'{H}.matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int',
          f'{H}.matchConditions[1].expression: Invalid value: "params.x": compilation failed: '
          "ERROR: <input>:1:1: undeclared reference to 'params' (in container '')"]),
        ({f"{H}.matchConditions": [{"name": "a", "expression": "true"}] * 65},
         [f"{H}.matchConditions: Too many: 65: must have at most 64 items"]),
        ({f"{H}.namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
         [f"{H}.namespaceSelector.matchExpressions[0].values: Required value: must be specified when "
          "`operator` is 'In' or 'NotIn'"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [VALIDATING, MUTATING])
def test_webhooks(name: str, changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(name, HOOKS, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=False)] == expected
    assert found or not expected


def test_reinvocation(refusals: Check) -> None:
    found = refusals(MUTATING, HOOKS, {f"{H}.reinvocationPolicy": "x"})
    assert found == [f'{H}.reinvocationPolicy: Unsupported value: "x": supported values: "IfNeeded", "Never"']


def test_an_old_mistake_does_not_block_other_changes(
    update_refusals: Callable[[str, dict[str, Any], dict[str, Any], dict[str, Any]], list[str]],
) -> None:
    wrong = {f"{H}.sideEffects": "Some"}
    assert update_refusals(VALIDATING, HOOKS, wrong, {"metadata.labels": {"a": "b"}}) == []
    assert update_refusals(VALIDATING, HOOKS, wrong, {f"{H}.timeoutSeconds": 50}) == [
        f"{H}.timeoutSeconds: Invalid value: 50: the timeout value must be between 1 and 30 seconds"
    ]


MATCH = {"resourceRules": [RULE]}
POLICY_OBJECT = {
    "spec": {"matchConstraints": MATCH, "validations": [{"expression": "true"}]},
}
V = "spec.validations[0]"
NEEDS_ONE = "Required value: validations or auditAnnotations must contain at least one item"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.matchConstraints": None}, ["spec.matchConstraints: Required value"]),
        ({"spec.matchConstraints": {}}, ["spec.matchConstraints.resourceRules: Required value"]),
        ({"spec.validations": []}, [f"spec.validations: {NEEDS_ONE}", f"spec.auditAnnotations: {NEEDS_ONE}"]),
        ({V: {"expression": " ", "message": "a\nb", "messageExpression": " ", "reason": "x"}},
         [f"{V}.expression: Required value: expression is not specified",
          f'{V}.messageExpression: Invalid value: " ": must be non-empty if specified',
          f'{V}.message: Invalid value: "a\\nb": must not contain line breaks',
          f'{V}.reason: Unsupported value: "x": supported values: "Forbidden", "Invalid", '
          '"RequestEntityTooLarge"']),
        ({"spec.paramKind": {"apiVersion": "a/b/c", "kind": "1"}},
         ['spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
          'spec.paramKind.kind: Invalid value: "1": may have mixed case, but should otherwise match: a '
          'DNS-1035']),
        ({"spec.paramKind": {"apiVersion": "g/", "kind": "K"}},
         ['spec.paramKind.apiVersion: Invalid value: "g/": version must be specified']),
        ({"spec.variables": [{"name": "for", "expression": ""}]},
         ['spec.variables[0].name: Invalid value: "for": must be a valid CEL identifier',
          "spec.variables[0].expression: Required value: expression is not specified"]),
        ({"spec.variables": [{"name": "a", "expression": "object.x +"}, {"name": "b", "expression": "1"}],
          "spec.validations": [{"expression": "variables.b > 0 && variables.a"},
                               {"expression": "variables.c", "messageExpression": "authorizer.path('/')"}],
          "spec.auditAnnotations": [{"key": "a", "valueExpression": " variables.b "}]},
         ['spec.variables[0].expression: Invalid value: "object.x +": compilation failed: '
          "ERROR: <input>:1:11: Syntax error: mismatched input '<EOF>'",
          'spec.validations[1].expression: Invalid value: "variables.c": compilation failed: '
          "ERROR: <input>:1:10: undefined field 'c'",
          "spec.validations[1].messageExpression: Invalid value: \"authorizer.path('/')\": "
          "compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')",
          'spec.auditAnnotations[0].valueExpression: Invalid value: " variables.b ": '
          "must evaluate to one of [string null_type] but got int"]),
        ({"spec.paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
          "spec.matchConditions": [{"name": "a", "expression": "params.data.a == 'b'"}],
          V: {"expression": "params.data.a == request.name"
                            " && authorizer.requestResource.check('x').allowed()",
              "messageExpression": "params.data.a + '!'"}}, []),
        ({"spec.auditAnnotations": [{"key": "a", "valueExpression": "x" * 5121},
                                    {"key": "a", "valueExpression": "'1'"}]},
         ["spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
          'spec.auditAnnotations[1].key: Duplicate value: "a"']),
        ({"spec.matchConstraints.resourceRules": [{**RULE, "resourceNames": ["a/b", "a/b"]}]},
         ["spec.matchConstraints.resourceRules[0].resourceNames[0]: Invalid value: \"a/b\": may not "
          "contain '/'",
          "spec.matchConstraints.resourceRules[0].resourceNames[1]: Invalid value: \"a/b\": may not "
          "contain '/'",
          'spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a/b"']),
    ],
)  # fmt: skip
def test_validating_policies(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(POLICY, POLICY_OBJECT, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


MUTATION = {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/a'}]"}}
MUTATING_OBJECT = {
    "spec": {"matchConstraints": MATCH, "mutations": [MUTATION], "reinvocationPolicy": "Never"},
}
M = "spec.mutations[0]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.mutations": []}, ["spec.mutations: Required value: mutations must contain at least one "
                                  "item"]),
        ({f"{M}.patchType": "x"},
         [f'{M}.patchType: Unsupported value: "x": supported values: "ApplyConfiguration", "JSONPatch"']),
        ({f"{M}.patchType": "ApplyConfiguration"},
         [f"{M}.applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
          f'{M}.jsonPatch: Invalid value: "{{jsonPatch}}": must not be specified when patchType is '
          "ApplyConfiguration"]),
        ({"spec.matchConstraints.resourceRules": [{**RULE, "operations": ["DELETE"]}]},
         ['spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: '
          '"*", '
          '"CONNECT", "CREATE", "UPDATE"']),
        ({"spec.reinvocationPolicy": "x"},
         ['spec.reinvocationPolicy: Unsupported value: "x": supported values: "IfNeeded", "Never"']),
    ],
)  # fmt: skip
def test_mutating_policies(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(MUTATING_POLICY, MUTATING_OBJECT, changes) == expected


BINDING_OBJECT = {"spec": {"policyName": "p", "validationActions": ["Deny"]}}
SAME_TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API "
    "response and headers serves no purpose)"
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.policyName": ""}, ["spec.policyName: Required value"]),
        ({"spec.validationActions": []},
         ["spec.validationActions: Required value: at least one validation action is required"]),
        ({"spec.validationActions": ["Deny", "Warn", "Deny", "x"]},
         ['spec.validationActions[2]: Duplicate value: "Deny"',
          'spec.validationActions[3]: Unsupported value: "x": supported values: "Audit", "Deny", "Warn"',
          f'spec.validationActions: Invalid value: ["Deny","Warn","Deny","x"]: {SAME_TWICE}']),
        ({"spec.paramRef": {}},
         ["spec.paramRef: Required value: one of name or selector must be specified",
          "spec.paramRef.parameterNotFoundAction: Required value"]),
        ({"spec.paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "x"}},
         ["spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
          "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
          'spec.paramRef.parameterNotFoundAction: Unsupported value: "x": supported values: "Deny", '
          '"Allow"']),
    ],
)  # fmt: skip
def test_bindings(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(BINDING, BINDING_OBJECT, changes) == expected


def test_a_mutating_binding_is_not_for_deletions(refusals: Check) -> None:
    match = {"resourceRules": [{**RULE, "operations": ["DELETE"]}]}
    found = refusals(MUTATING_BINDING, {"spec": {"policyName": "p", "matchResources": match}}, {})
    assert found == [
        'spec.matchResources.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", '
        '"CONNECT", "CREATE", "UPDATE"'
    ]


def test_status_of_a_policy(
    status_refusals: Callable[[str, dict[str, Any], dict[str, Any], dict[str, Any]], list[str]],
) -> None:
    condition = {"type": "a b", "status": "x", "reason": "1"}
    status = {
        "typeChecking": {"expressionWarnings": [{"fieldRef": "", "warning": ""}]},
        "conditions": [condition],
    }
    found = status_refusals(POLICY, POLICY_OBJECT, {}, {"status": status})
    assert [text.partition(":")[0] for text in found] == [
        "status.typeChecking.expressionWarnings[0].warning",
        "status.typeChecking.expressionWarnings[0].fieldRef",
        "status.conditions[0].type",
        "status.conditions[0].status",
        "status.conditions[0].lastTransitionTime",
        "status.conditions[0].reason",
    ]
