"""What users read when an object is refused: paths, values and words as upstream prints them."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import defaults, field, objects, resources
from nanokube.api.validation import whole

POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u", "resourceVersion": "1"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
SERVICE = {
    "metadata": {"name": "s", "namespace": "d", "uid": "u", "resourceVersion": "1"},
    "spec": {"ports": [{"port": 80}]},
}
PORT = '{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'
CLASS_IS_FOR_BALANCERS = "Forbidden: may only be used when `type` is 'LoadBalancer'"


def _made(name: str, base: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    obj: dict[str, Any] = objects.copy(base)
    obj["spec"] |= objects.copy(spec)
    defaults.apply(resources.get(name), obj)
    return obj


def _texts(found: list[field.FieldError]) -> list[str]:
    return [str(each) for each in found]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": []}, ["spec.ports: Required value"]),
        ({"type": "x"}, ['spec.type: Unsupported value: "x": supported values: '
                         '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
         [f"spec.ports[1]: Duplicate value: {PORT}"]),
        ({"ports": [{"port": 0}]},
         ["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
          "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive"]),
        ({"clusterIP": "None", "clusterIPs": ["None"], "type": "NodePort"},
         ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
        ({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]},
         ['spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`']),
        ({"externalIPs": ["127.0.0.1"]},
         ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range '
          "(127.0.0.0/8, ::1/128)"]),
        ({"loadBalancerClass": "a"}, [f"spec.loadBalancerClass: {CLASS_IS_FOR_BALANCERS}"]),
        ({"trafficDistribution": "x"},
         ['spec.trafficDistribution: Unsupported value: "x": supported values: "PreferClose", '
          '"PreferSameZone", "PreferSameNode"']),
    ],
)  # fmt: skip
def test_services(spec: dict[str, Any], expected: list[str]) -> None:
    found = whole.validate_create(resources.get("services"), _made("services", SERVICE, spec))
    assert _texts(found)[: len(expected)] == expected


def test_cluster_ip_may_not_change() -> None:
    old = _made("services", SERVICE, {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]})
    new = _made("services", SERVICE, {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]})
    found = _texts(whole.validate_update(resources.get("services"), new, old))
    assert found == ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set']


GATED = {"schedulingGates": [{"name": "a/b"}], "nodeSelector": {"a": "b"}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"containers": [{"name": "c", "image": "j"}]}, ""),
        ({}, {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]},
         "spec.containers: Forbidden: pod updates may not add or remove containers"),
        ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": 6},
         "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"),
        ({"activeDeadlineSeconds": 5}, {},
         "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil "
         "value"),
        ({}, {"schedulingGates": [{"name": "a/b"}]},
         "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate "
         "'a/b'"),
        (GATED, {"schedulingGates": [{"name": "a/b"}], "nodeSelector": {"a": "b", "c": "d"}}, ""),
        (GATED, {}, 'spec.nodeSelector: Invalid value: {}: only additions to spec.nodeSelector are allowed '
                    "(no mutations or deletions)"),
        ({"hostname": "a"}, {"hostname": "b"},
         "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
         "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
         "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
         "previously negative)\n@@ "),
    ],
)  # fmt: skip
def test_what_may_change_in_a_pod(old: dict[str, Any], new: dict[str, Any], expected: str) -> None:
    before, after = _made("pods", POD, old), _made("pods", POD, new)
    found = _texts(whole.validate_update(resources.get("pods"), after, before))
    assert [each[: len(expected)] for each in found] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a"b\\', r'"a\"b\\"'),
        ("a\nb\x01\x7f", r'"a\nb\x01\x7f"'),
        ("é\u200b", '"é\\u200b"'),
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        (True, "true"),
    ],
)
def test_values_are_quoted_as_go_does(value: Any, text: str) -> None:
    assert field.quote(value) == text


MIN_DOMAINS = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"dnsPolicy": "None"},
         "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        ({"dnsPolicy": "None", "dnsConfig": {}},
         "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when "
         "`dnsPolicy` is None"),
        ({"topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}]},
         f"spec.topologySpreadConstraints[0].minDomains: Invalid value: 2: {MIN_DOMAINS}"),
        ({"hostNetwork": True, "containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 1, "hostPort": 2}]}]},
         "spec.containers[0].ports[0].hostPort: Invalid value: 2: must match `containerPort` when "
         "`hostNetwork` is true"),
        ({"initContainers": [{"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["a"]}}}]},
         "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
         "restartPolicy=Always"),
    ],
)  # fmt: skip
def test_pods(spec: dict[str, Any], expected: str) -> None:
    found = whole.validate_create(resources.get("pods"), _made("pods", POD, spec))
    assert _texts(found) == [expected]
