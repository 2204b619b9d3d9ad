"""Device claims, classes, slices, and flow control: what is refused, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api import flow_defaults, resources, strategy

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
Compare = Callable[[str, dict[str, Any], dict[str, Any], dict[str, Any]], list[str]]
CLAIM, TEMPLATE = "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io"
SLICE, CLASS = "resourceslices.resource.k8s.io", "deviceclasses.resource.k8s.io"
SCHEMA = "flowschemas.flowcontrol.apiserver.k8s.io"
LEVEL = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
REQUEST = {"name": "r", "exactly": {"deviceClassName": "c"}}
CLAIM_OBJECT = {"spec": {"devices": {"requests": [REQUEST]}}}
R, E = "spec.devices.requests[0]", "spec.devices.requests[0].exactly"
D = "spec.devices"
ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
NO_REQUEST = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({f"{D}.requests": [REQUEST, REQUEST]}, [f'{D}.requests[1]: Duplicate value: "r"']),
        ({f"{D}.requests": [REQUEST] * 33}, [f"{D}.requests: Too many: 33: must have at most 32 items"]),
        ({R: {"name": "r"}}, [f"{R}: Required value: {ONE_KIND}"]),
        ({R: {**REQUEST, "firstAvailable": [{"name": "a", "deviceClassName": "c"}]}},
         [f"{R}: Invalid value: null: {ONE_KIND}, but multiple fields are set"]),
        ({R: {"name": "r", "firstAvailable": [{"name": "a", "deviceClassName": ""}]}},
         [f"{R}.firstAvailable[0].deviceClassName: Required value"]),
        ({f"{E}.allocationMode": "x"},
         [f'{E}.allocationMode: Unsupported value: "x": supported values: "All", "ExactCount"']),
        ({f"{E}.allocationMode": "All", f"{E}.count": 2},
         [f"{E}.count: Invalid value: 2: must not be specified when allocationMode is 'All'"]),
        ({f"{E}.count": -1}, [f"{E}.count: Invalid value: -1: must be greater than zero"]),
        ({f"{E}.selectors": [{}]}, [f"{E}.selectors[0].cel: Required value"]),
        ({f"{E}.selectors": [{"cel": {"expression": "device.attributes['dra.example'].size"}},
                             {"cel": {"expression": "device.driver"}},
                             {"cel": {"expression": "device.capacity['a'].b.isLessThan(quantity('1'))"}},
                             {"cel": {"expression": "device.attributes.all(a, device.attributes.all(b, "
                                                    "device.attributes.all(c, device.attributes.all(d, "
                                                    "a + b + c + d == 'x'))))"}}]},
         [f'{E}.selectors[1].cel.expression: Invalid value: "device.driver": must evaluate to bool or the '
          "unknown type, not string",
          f"{E}.selectors[3].cel.expression: Forbidden: too complex, exceeds cost limit"]),
        ({f"{E}.selectors": [{"cel": {"expression": "x" * 10241}}]},
         [f"{E}.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"]),
        ({f"{E}.tolerations": [{"key": "a", "operator": "Exists", "value": "v", "effect": "x"}]},
         [f'{E}.tolerations[0].value: Invalid value: "v": must be empty for operator `Exists`',
          f'{E}.tolerations[0].effect: Unsupported value: "x": supported values: "NoExecute", "NoSchedule", '
          '"None"']),
        ({f"{D}.constraints": [{"requests": ["x"], "matchAttribute": "a"}]},
         [f'{D}.constraints[0].requests[0]: Invalid value: "x": {NO_REQUEST}',
          f'{D}.constraints[0].matchAttribute: Invalid value: "a": a fully qualified name must be a '
          f'domain and a '
          "name separated by a slash"]),
        ({f"{D}.config": [{"opaque": {"driver": "d", "parameters": [1]}}]},
         [f'{D}.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object']),
        ({f"{D}.config": [{}]}, [f"{D}.config[0].opaque: Required value"]),
    ],
)  # fmt: skip
def test_claims(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(CLAIM, CLAIM_OBJECT, changes) == expected
    spec = {"spec": {"spec": CLAIM_OBJECT["spec"]}}
    below = {f"spec.{path}": value for path, value in changes.items()}
    assert refusals(TEMPLATE, spec, below) == [f"spec.{text}" for text in expected]


def test_the_spec_of_a_claim_stays(update_refusals: Compare) -> None:
    for name, base, path in (
        (CLAIM, CLAIM_OBJECT, f"{E}.count"),
        (TEMPLATE, {"spec": CLAIM_OBJECT}, f"spec.{E}.count"),
    ):
        assert update_refusals(name, base, {}, {"metadata.labels": {"a": "b"}}) == []
        found = update_refusals(name, base, {}, {path: 2})
        assert [text.partition(" value")[0] for text in found] == ["spec: Invalid"]


RESULT = {"request": "r", "driver": "d", "pool": "p", "device": "v"}
ALLOCATED = {"allocation": {"devices": {"results": [RESULT]}}}
USER = {"resource": "pods", "name": "p", "uid": "1"}
A = "status.allocation.devices.results[0]"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, ALLOCATED, []),
        (ALLOCATED, {}, []),
        ({}, {"reservedFor": [USER]},
         ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]),
        ({}, {**ALLOCATED, "reservedFor": [USER, USER, {"uid": "2"}]},
         ["status.reservedFor[2].resource: Required value", "status.reservedFor[2].name: Required value",
          'status.reservedFor[1]: Duplicate value: "1"']),
        ({}, {"allocation": {"devices": {"results": [{**RESULT, "request": "x", "pool": ""}]}}},
         [f'{A}.request: Invalid value: "x": {NO_REQUEST}', f"{A}.pool: Required value"]),
        ({}, {"allocation": {"devices": {"results": [{**RESULT, "bindingConditions": ["a"]}]}}},
         [f"{A}.bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use "
          "bindingConditions"]),
        ({}, {"allocation": {"devices": {"config": [{"source": "x"}]}}},
         ['status.allocation.devices.config[0].source: Unsupported value: "x": supported values: '
          '"FromClaim", '
          '"FromClass"', "status.allocation.devices.config[0].opaque: Required value"]),
        ({}, {**ALLOCATED, "devices": [{"driver": "d", "pool": "p", "device": "w"}]},
         ['status.devices[0]: Invalid value: "d/p/w": must be an allocated device in the claim']),
        ({}, {**ALLOCATED, "devices": [{**RESULT, "networkData": {"ips": ["1.2.3.4", "fe80:0::1/64"]}}]},
         ['status.devices[0].networkData.ips[0]: Invalid value: "1.2.3.4": must be a valid address in '
          'CIDR form, '
          "(e.g. 10.9.8.7/24 or 2001:db8::1/64)",
          'status.devices[0].networkData.ips[1]: Invalid value: "fe80:0::1/64": must be in canonical form '
          '("fe80::1/64")']),
    ],
)  # fmt: skip
def test_status_of_claims(
    before: dict[str, Any], after: dict[str, Any], expected: list[str], status_refusals: Compare
) -> None:
    assert status_refusals(CLAIM, CLAIM_OBJECT, {"status": before}, {"status": after}) == expected


def test_an_allocation_is_made_once(status_refusals: Compare) -> None:
    other = {"allocation": {"devices": {"results": [{**RESULT, "device": "w"}]}}}
    found = status_refusals(CLAIM, CLAIM_OBJECT, {"status": ALLOCATED}, {"status": other})
    assert [text.partition(" value")[0] for text in found] == ["status.allocation: Invalid"]


def test_reports_end_with_the_allocation() -> None:
    old: dict[str, Any] = {"metadata": {"name": "c"}, "status": {**ALLOCATED, "devices": [RESULT]}}
    new: dict[str, Any] = {"metadata": {"name": "c"}, "status": {"devices": [RESULT]}}
    strategy.prepare_for_status_update(resources.get(CLAIM), new, old)
    assert new["status"] == {}


def test_classes(refusals: Check) -> None:
    assert refusals(CLASS, {"spec": {"extendedResourceName": "a.b/c"}}, {}) == []
    assert refusals(CLASS, {"spec": {"extendedResourceName": "cpu"}}, {}) == [
        'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name'
    ]


POOL = {"name": "p", "resourceSliceCount": 1, "generation": 0}
DEVICE = {"name": "v", "attributes": {"a": {"int": 1}}, "capacity": {"m": {"value": "10"}}}
SLICE_OBJECT = {"spec": {"driver": "d.io", "pool": POOL, "nodeName": "n", "devices": [DEVICE]}}
V = "spec.devices[0]"
ONE_CHOICE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def _shared(**policy: Any) -> dict[str, Any]:
    capacity = {"m": {"value": "10", "requestPolicy": policy}}
    return {f"{V}.allowMultipleAllocations": True, f"{V}.capacity": capacity}


C = f"{V}.capacity[m].requestPolicy"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.pool": {"name": "a//b", "resourceSliceCount": 0, "generation": -1}},
         ['spec.pool.name: Invalid value: "": a lowercase RFC 1123 subdomain must consist',
          "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
          "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"]),
        ({"spec.nodeName": None}, [f"spec: Required value: {ONE_CHOICE}"]),
        ({"spec.allNodes": True},
         [f'spec: Invalid value: "{{`nodeName`, `allNodes`}}": {ONE_CHOICE}, but multiple fields are set']),
        ({"spec.allNodes": False}, ["spec.allNodes: Invalid value: false: must be either unset or set to "
                                    "true"]),
        ({"spec.devices": [DEVICE, DEVICE]}, ['spec.devices[1]: Duplicate value: "v"']),
        ({f"{V}.attributes": {"a": {}, "1": {"bool": True}}},
         [f'{V}.attributes[a]: Invalid value: "": exactly one value must be specified',
          f'{V}.attributes: Invalid value: "1": a valid C identifier must start with']),
        ({f"{V}.attributes": {"a": {"version": "1.2"}}},
         [f'{V}.attributes[a].version: Invalid value: "1.2": must be a string compatible with semver.org '
          f'spec '
          "2.0.0"]),
        ({f"{V}.attributes": {f"a{i}": {"int": 1} for i in range(33)}},
         [f"{V}: Invalid value: 34: the total number of attributes and capacities must not exceed 32"]),
        ({f"{V}.capacity": {"m": {"value": "1", "requestPolicy": {}}}},
         [f"{C}: Forbidden: allowMultipleAllocations must be true"]),
        (_shared(default="1", validValues=["1", "20", "2"]),
         [f'{C}.validValues[2]: Invalid value: "2": values must be sorted in ascending order',
          f'{C}.validValues[1]: Invalid value: "20": option is larger than capacity value: 10']),
        (_shared(default="3", validValues=["1"]),
         [f'{C}.validValues: Invalid value: "3": default value is not valid according to the requestPolicy']),
        (_shared(default="1", validRange={"min": "2", "max": "11", "step": "4"}),
         [f'{C}.validRange.min: Invalid value: "1": default is less than min: 2',
          f'{C}.validRange.max: Invalid value: "11": max is larger than capacity value: 10',
          f'{C}.validRange.step: Invalid value: "1": value is not a multiple of a given step (4) from (2)',
          f'{C}.validRange.step: Invalid value: "11": value is not a multiple of a given step (4) from (2)']),
        ({f"{V}.taints": [{"key": "a"}]}, [f"{V}.taints[0].effect: Required value"]),
        ({f"{V}.nodeName": "n"},
         [f"{V}: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if"]),
        ({"spec.sharedCounters": [{"name": "s", "counters": {}}], "spec.devices": []},
         ["spec.sharedCounters[0].counters: Required value"]),
    ],
)  # fmt: skip
def test_slices(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(SLICE, SLICE_OBJECT, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


def test_taints_are_dated_and_disabled_fields_dropped() -> None:
    tainted = {"name": "v", "taints": [{"key": "a", "effect": "None"}], "attributes": {"a": {"ints": [1]}}}
    obj: dict[str, Any] = {"metadata": {"name": "s"}, "spec": {"devices": [tainted]}}
    strategy.prepare_for_create(resources.get(SLICE), obj, namespace="", uid="u", now="2026-01-02T03:04:05Z")
    device = obj["spec"]["devices"][0]
    assert device["taints"][0]["timeAdded"] == "2026-01-02T03:04:05Z"
    assert device["attributes"] == {"a": {}}
    new: dict[str, Any] = {"metadata": {"name": "s"}, "spec": {"devices": [
        {"name": "v", "taints": [{"key": "a", "effect": "None"}]}]}}  # fmt: skip
    strategy.prepare_for_update(resources.get(SLICE), new, obj)
    assert new["spec"]["devices"][0]["taints"] == device["taints"]


def _schema(**spec: Any) -> dict[str, Any]:
    subject = {"kind": "Group", "group": {"name": "g"}}
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}
    good = {"priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 5}
    return {"spec": {**good, "rules": [{"subjects": [subject], "resourceRules": [rule]}], **spec}}


Q = "spec.rules[0]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.matchingPrecedence": 1},
         ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have "
          "matchingPrecedence "
          "1"]),
        ({"spec.matchingPrecedence": 10001},
         ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]),
        ({"spec.priorityLevelConfiguration": {"name": ""}},
         ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"]),
        ({"spec.distinguisherMethod": {"type": "x"}},
         ['spec.distinguisherMethod.type: Unsupported value: {"Type":"x"}: supported values: "ByNamespace", '
          '"ByUser"']),
        ({f"{Q}.subjects": []}, [f"{Q}.subjects: Required value: subjects must contain at least one value"]),
        ({f"{Q}.subjects[0]": {"kind": "User", "group": {"name": "g"}}},
         [f"{Q}.subjects[0].user: Required value: user is required when subject kind is 'User'",
          f"{Q}.subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'"]),
        ({f"{Q}.subjects[0]": {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": ""}}},
         [f"{Q}.subjects[0].serviceAccount.namespace: Required value: must specify namespace for service "
          "account"]),
        ({f"{Q}.resourceRules": []},
         [f"{Q}: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"]),
        ({f"{Q}.resourceRules[0]": {"verbs": ["x"], "apiGroups": ["*", "a"], "resources": []}},
         [f'{Q}.resourceRules[0].verbs: Unsupported value: ["x"]: supported values: "create", "delete", '
          '"deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
          f'{Q}.resourceRules[0].apiGroups: Invalid value: ["*","a"]: if \'*\' is present, must not '
          f'specify other '
          "api groups",
          f"{Q}.resourceRules[0].resources: Required value: resource rules must supply at least one resource",
          f"{Q}.resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must "
          "supply at least one namespace"]),
        ({f"{Q}.nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["a", "/a*", "//"]}]},
         [f'{Q}.nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a": must start with slash',
          f'{Q}.nonResourceRules[0].nonResourceURLs[1]: Invalid value: "/a*": wildcard can only do suffix '
          "matching",
          f'{Q}.nonResourceRules[0].nonResourceURLs[2]: Invalid value: "//": must not contain double slash']),
    ],
)  # fmt: skip
def test_flow_schemas(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(SCHEMA, _schema(), changes) == expected


QUEUE = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}
LIMITED = {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": QUEUE}}}
L = "spec.limited"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec": {"type": "Exempt"}},
         ["spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"]),
        ({"spec": {"type": "Limited"}}, [f"{L}: Required value: must not be empty when type is Limited"]),
        ({"spec": {"type": "x"}}, ['spec.type: Unsupported value: "x": supported values: "Exempt", '
                                   '"Limited"']),
        ({f"{L}.nominalConcurrencyShares": -1, f"{L}.lendablePercent": 101, f"{L}.borrowingLimitPercent": -1},
         [f"{L}.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
          f"{L}.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
          f"{L}.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer"]),
        ({f"{L}.limitResponse.type": "Reject"},
         [f"{L}.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited"]),
        ({f"{L}.limitResponse.queuing.handSize": 65},
         [f"{L}.limitResponse.queuing.handSize: Invalid value: 65: should not be greater than queues (64)"]),
        ({f"{L}.limitResponse.queuing.handSize": 11},
         [f"{L}.limitResponse.queuing.handSize: Invalid value: 11: required entropy bits of deckSize 64 and "
          "handSize 11 should not be greater than 60"]),
    ],
)  # fmt: skip
def test_priority_levels(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(LEVEL, {"spec": LIMITED}, changes) == expected


@pytest.mark.parametrize("specs", [flow_defaults.SUGGESTED_LEVELS, flow_defaults.MANDATORY_LEVELS])
def test_levels_that_are_always_there_are_good(specs: flow_defaults.Specs, refusals: Check) -> None:
    for name, spec in specs.items():
        assert refusals(LEVEL, {"metadata": {"name": name}, "spec": spec}, {}) == []


@pytest.mark.parametrize("specs", [flow_defaults.SUGGESTED_SCHEMAS, flow_defaults.MANDATORY_SCHEMAS])
def test_schemas_that_are_always_there_are_good(specs: flow_defaults.Specs, refusals: Check) -> None:
    for name, spec in specs.items():
        assert refusals(SCHEMA, {"metadata": {"name": name}, "spec": spec}, {}) == []


def test_mandatory_specs_stay(refusals: Check) -> None:
    exempt = {"metadata": {"name": "exempt"}, "spec": flow_defaults.MANDATORY_LEVELS["exempt"]}
    assert refusals(LEVEL, exempt, {"spec.exempt.nominalConcurrencyShares": 10}) == []
    catch_all = {"metadata": {"name": "catch-all"}, "spec": flow_defaults.MANDATORY_LEVELS["catch-all"]}
    found = refusals(LEVEL, catch_all, {"spec.limited.nominalConcurrencyShares": 10})
    assert [text.rpartition(": ")[2] for text in found] == ["spec of 'catch-all' must equal the fixed value"]
