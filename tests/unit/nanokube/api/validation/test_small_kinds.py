"""What limits, nodes, endpoints, roles and revisions may say, as a real API server answered."""

from __future__ import annotations

import pytest

from nanokube.api import schema
from nanokube.api.errors import ApiError
from tests.unit.nanokube.api.validation.conftest import Changes, Refusals

LIMITS: Changes = {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}
L = "spec.limits[0]"
NODE: Changes = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
SLICE: Changes = {"addressType": "IPv4", "endpoints": [{"addresses": ["1.2.3.4"]}]}
ROLE: Changes = {"rules": [], "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
SUBJECT = {"kind": "Pod", "name": "u"}
GROUP = "rbac.authorization.k8s.io"
BINDING: Changes = {"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "r"}, "subjects": []}
OPERATOR = "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator"


@pytest.mark.parametrize(
    ("name", "base", "changes", "expected"),
    [
        ("limitranges", LIMITS, {}, []),
        (
            "limitranges",
            LIMITS,
            {f"{L}.type": "Thing"},
            [f'{L}.type: Invalid value: "Thing": must be a standard limit type or fully qualified'],
        ),
        (
            "limitranges",
            LIMITS,
            {f"{L}.default": {"pods": "1"}, f"{L}.defaultRequest": {"pods": "1"}},
            [
                f'{L}.{key}[pods]: Invalid value: "pods": must be a standard resource for containers'
                for key in ("default", "defaultRequest")
            ],
        ),
        (
            "limitranges",
            LIMITS,
            {L: {"type": "PersistentVolumeClaim"}},
            [
                f"{L}.limits: Required value: "
                "either minimum or maximum storage value is required, but neither was provided"
            ],
        ),
        (
            "limitranges",
            LIMITS,
            {
                L: {
                    "type": "Pod",
                    "max": {"cpu": "2"},
                    "min": {"cpu": "1"},
                    "maxLimitRequestRatio": {"cpu": "3"},
                }
            },
            [
                f'{L}.maxLimitRequestRatio[cpu]: Invalid value: "3": '
                "ratio 3 is greater than max/min = 2.000000"
            ],
        ),
        (
            "nodes",
            NODE,
            {"spec.taints[0].effect": "x", "spec.podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]},
            [
                'metadata.taints[0].effect: Unsupported value: "x": '
                'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
                'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: '
                "may specify no more than one CIDR for each IP family",
            ],
        ),
        (
            "endpointslices.discovery.k8s.io",
            SLICE,
            {"endpoints[0].addresses": ["2001:db8::1"]},
            ['endpoints[0].addresses: Invalid value: "2001:db8::1": must be an IPv4 address'],
        ),
        (
            "endpointslices.discovery.k8s.io",
            SLICE,
            {"addressType": "FQDN", "endpoints[0].addresses": ["a"]},
            [
                'endpoints[0].addresses[0]: Invalid value: "a": '
                "should be a domain with at least two segments separated by dots"
            ],
        ),
        (
            "clusterroles.rbac.authorization.k8s.io",
            ROLE,
            {"aggregationRule.clusterRoleSelectors[0].matchExpressions": [{"key": "a", "operator": "x"}]},
            [
                f'{OPERATOR}: Invalid value: "x": not a valid selector operator',
                "aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.",
            ],
        ),
        (
            "rolebindings.rbac.authorization.k8s.io",
            BINDING,
            {"subjects": [SUBJECT]},
            [
                'subjects[0].kind: Unsupported value: "Pod": '
                'supported values: "ServiceAccount", "User", "Group"'
            ],
        ),
        (
            "controllerrevisions.apps",
            {"revision": 1, "data": {}},
            {"data": [1], "metadata.generation": -1},
            [
                "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
                "data: Required value: data must be a valid JSON object",
            ],
        ),
        (
            "namespaces",
            {},
            {"spec": {"finalizers": ["x"]}},
            [
                'spec.finalizers: Invalid value: "x": '
                "name is neither a standard finalizer name nor is it fully qualified"
            ],
        ),
        ("runtimeclasses.node.k8s.io", {"handler": "h"}, {"metadata.finalizers": ["x"]}, []),
        (
            "priorityclasses.scheduling.k8s.io",
            {"value": 1},
            {"preemptionPolicy": "x"},
            [
                'preemptionPolicy: Unsupported value: "x": '
                'supported values: "PreemptLowerPriority", "Never"'
            ],
        ),
        (
            "storageclasses.storage.k8s.io",
            {"provisioner": "a/b"},
            {"allowedTopologies": [{}]},
            ['allowedTopologies[0].matchLabelExpressions: Duplicate value: ""'],
        ),
        (
            "poddisruptionbudgets.policy",
            {"spec": {"minAvailable": 1}},
            {"spec.maxUnavailable": "1%", "spec.selector": {"matchLabels": {"a": "b"}}},
            [
                'spec: Invalid value: {"MinAvailable":1,"Selector":{"matchLabels":{"a":"b"}},'
                '"MaxUnavailable":"1%","UnhealthyPodEvictionPolicy":null}: '
                "minAvailable and maxUnavailable cannot be both set"
            ],
        ),
    ],
)  # fmt: skip
def test_small_kinds(
    refusals: Refusals, name: str, base: Changes, changes: Changes, expected: list[str]
) -> None:
    assert refusals(name, base, changes) == expected


def test_quantities_may_have_space_around_them() -> None:
    found = schema.get("", "v1", "LimitRange")
    assert found is not None
    obj, _ = found.decode(b'{"spec":{"limits":[{"type":"Pod","max":{"cpu":" 1 "}}]}}')
    assert obj["spec"]["limits"][0]["max"] == {"cpu": "1"}


def test_times_are_never_empty() -> None:
    found = schema.get("coordination.k8s.io", "v1", "Lease")
    assert found is not None
    with pytest.raises(ApiError, match=r'parsing time "" as .*: cannot parse "" as "2006"'):
        found.decode(b'{"spec":{"renewTime":""}}')


@pytest.mark.parametrize("body", [b'{"caBundle":"","url":"u"}', b'{"caBundle":"","url":"u","x":1}'])
def test_no_bytes_are_not_written(body: bytes) -> None:
    found = schema.get("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration")
    assert found is not None
    obj, _ = found.decode(b'{"webhooks":[{"clientConfig":' + body + b"}]}")
    assert obj["webhooks"][0]["clientConfig"] == {"url": "u"}


@pytest.mark.parametrize(("body", "wanted"), [(b'{"a":5}', "[]uint8"), (b"5", "map[string][]uint8")])
def test_bytes_have_the_type_that_go_calls_them(body: bytes, wanted: str) -> None:
    found = schema.get("", "v1", "Secret")
    assert found is not None
    with pytest.raises(ApiError) as raised:
        found.decode(b'{"data":' + body + b"}")
    assert raised.value.message.endswith(f"into Go struct field Secret.data of type {wanted}")
