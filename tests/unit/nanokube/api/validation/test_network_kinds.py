"""Ingresses, network policies, addresses, autoscalers, signing requests: what is refused, in upstream's "
"words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
Compare = Callable[[str, dict[str, Any], dict[str, Any], dict[str, Any]], list[str]]
INGRESS = "ingresses.networking.k8s.io"
CLASS = "ingressclasses.networking.k8s.io"
POLICY = "networkpolicies.networking.k8s.io"
BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
INGRESS_OBJECT = {"spec": {"rules": [{"host": "a.b", "http": {"paths": [PATH]}}]}}
P = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        ({"spec.rules[0].host": "1.2.3.4"},
         ['spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address']),
        ({"spec.rules[0].host": "a.*.b"},
         ["spec.rules[0].host: Invalid value: \"a.*.b\": a wildcard DNS-1123 subdomain must start with "
          "'*.'"]),
        ({"spec.rules[0].host": "*.b"}, []),
        ({"spec.rules[0].http.paths": []}, ["spec.rules[0].http.paths: Required value"]),
        ({f"{P}.pathType": None}, [f"{P}.pathType: Required value: pathType must be specified"]),
        ({f"{P}.pathType": "x"},
         [f'{P}.pathType: Unsupported value: "x": supported values: "Exact", "ImplementationSpecific", '
          f'"Prefix"']),
        ({f"{P}.path": "a"}, [f'{P}.path: Invalid value: "a": must be an absolute path']),
        ({f"{P}.path": "/a//b/.."},
         [f"{P}.path: Invalid value: \"/a//b/..\": must not contain '//'",
          f"{P}.path: Invalid value: \"/a//b/..\": cannot end with '/..'"]),
        ({f"{P}.path": "", f"{P}.pathType": "ImplementationSpecific"}, []),
        ({f"{P}.backend": {}}, [f'{P}.backend: Invalid value: "": resource or service backend is required']),
        ({f"{P}.backend": {**BACKEND, "resource": {"kind": "K", "name": "n"}}},
         [f'{P}.backend: Invalid value: "": cannot set both resource and service backends']),
        ({f"{P}.backend": {"resource": {"apiGroup": "A", "kind": "", "name": "a/b"}}},
         [f'{P}.backend.resource.apiGroup: Invalid value: "A": a lowercase RFC 1123 subdomain',
          f"{P}.backend.resource.kind: Required value",
          f"{P}.backend.resource.name: Invalid value: \"a/b\": may not contain '/'"]),
        ({f"{P}.backend.service.name": "1a"}, []),
        ({f"{P}.backend.service.name": "A"},
         [f'{P}.backend.service.name: Invalid value: "A": a lowercase RFC 1123 label must consist of']),
        ({f"{P}.backend.service.port": {}}, [f"{P}.backend: Required value: port name or number is "
                                             f"required"]),
        ({f"{P}.backend.service.port": {"name": "a", "number": 1}},
         [f'{P}.backend: Invalid value: "": cannot set both port name & port number']),
        ({"spec.tls": [{"hosts": ["*.*"], "secretName": "A"}]},
         ['spec.tls[0].hosts[0]: Invalid value: "*.*": a wildcard', 'spec.tls[0].secretName: Invalid '
                                                                    'value: "A"']),
        ({"spec.ingressClassName": "a", "metadata.annotations": {"kubernetes.io/ingress.class": "b"}},
         ['annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` '
          'when both '
          "are specified"]),
    ],
)  # fmt: skip
def test_ingresses(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(INGRESS, INGRESS_OBJECT, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


def test_status_of_an_ingress(status_refusals: Compare) -> None:
    old = {"status": {"loadBalancer": {"ingress": [{"ip": "010.0.0.1"}]}}}
    new = [{"ip": "010.0.0.1"}, {"ip": "01.2.3.4"}, {"ip": "x"}, {"hostname": "1.2.3.4"}, {"hostname": "A"}]
    at = "status.loadBalancer.ingress"
    changed = {"status": {"loadBalancer": {"ingress": new}}}
    assert status_refusals(INGRESS, INGRESS_OBJECT, old, changed)[:3] == [
        f'{at}[1].ip: Invalid value: "01.2.3.4": must not have leading 0s',
        f'{at}[2].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        f'{at}[3].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]


CLASS_OBJECT = {"spec": {"controller": "a.b/c"}}
REFERENCE = {"apiGroup": "g", "kind": "K", "name": "n"}
PARAMETERS = "spec.parameters"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.controller": ""}, ["spec.controller: Required value"]),
        ({"spec.controller": "a"},
         ['spec.controller: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")']),
        ({"spec.controller": "A/ "},
         ['spec.controller: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of',
          'spec.controller: Invalid value: " ": Invalid path (regex used for validation is ']),
        ({PARAMETERS: {**REFERENCE, "scope": "Namespace"}},
         [f"{PARAMETERS}.namespace: Required value: `parameters.scope` is set to 'Namespace'"]),
        ({PARAMETERS: {**REFERENCE, "scope": "Cluster", "namespace": "d"}},
         [f"{PARAMETERS}.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]),
        ({PARAMETERS: {**REFERENCE, "scope": "x"}},
         [f'{PARAMETERS}.scope: Unsupported value: "x": supported values: "Cluster", "Namespace"']),
    ],
)  # fmt: skip
def test_ingress_classes(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(CLASS, CLASS_OBJECT, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


def test_the_controller_of_a_class_stays(update_refusals: Compare) -> None:
    found = update_refusals(CLASS, CLASS_OBJECT, {}, {"spec.controller": "a.b/d"})
    assert found == ['spec.controller: Invalid value: "a.b/d": field is immutable']


def test_parameters_of_a_class_are_of_the_cluster_by_default(refusals: Check) -> None:
    assert refusals(CLASS, CLASS_OBJECT, {PARAMETERS: REFERENCE}) == []


def _peers(*peers: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"spec": {"podSelector": {}, "ingress": [{"from": list(peers), "ports": ports or []}]}}


F = "spec.ingress[0].from[0]"
N = "spec.ingress[0].ports[0]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (_peers({"podSelector": {}}), []),
        (_peers({}), [f"{F}: Required value: must specify a peer"]),
        (_peers({"ipBlock": {"cidr": ""}, "podSelector": {}}),
         [f"{F}.ipBlock.cidr: Required value", f"{F}: Forbidden: may not specify both ipBlock and another "
                                               f"peer"]),
        (_peers({"ipBlock": {"cidr": "10.0.0.1/8"}}),
         [f'{F}.ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length']),
        (_peers({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8", "11.0.0.0/16", "x"]}}),
         [f'{F}.ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
          f'{F}.ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
          f'{F}.ipBlock.except[2]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or '
          "2001:db8::/64)"]),
        (_peers({"ipBlock": {"cidr": "::ffff:1.2.3.0/120"}}),
         [f'{F}.ipBlock.cidr: Invalid value: "::ffff:1.2.3.0/120": must not have an IPv4-mapped IPv6 '
          f'address']),
        (_peers({"podSelector": {}}, ports=[{"protocol": "X", "port": 80, "endPort": 79}]),
         [f'{N}.protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"',
          f"{N}.endPort: Invalid value: 80: must be greater than or equal to `port`"]),
        (_peers({"podSelector": {}}, ports=[{"endPort": 79}]),
         [f"{N}.endPort: Invalid value: 79: may not be specified when `port` is not specified"]),
        (_peers({"podSelector": {}}, ports=[{"port": "a", "endPort": 79}]),
         [f"{N}.endPort: Invalid value: 79: may not be specified when `port` is non-numeric"]),
        ({"spec": {"podSelector": {}, "policyTypes": ["x"]}},
         ['spec.policyTypes[0]: Unsupported value: "x": supported values: "Ingress", "Egress"']),
    ],
)  # fmt: skip
def test_network_policies(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(POLICY, {}, changes) == expected


def test_a_wrong_range_may_stay(update_refusals: Compare) -> None:
    wrong, other = {"ipBlock": {"cidr": "10.0.0.1/8"}}, {"ipBlock": {"cidr": "10.0.0.2/8"}}
    assert update_refusals(POLICY, {}, _peers(wrong), _peers({"podSelector": {}}, wrong)) == []
    assert len(update_refusals(POLICY, {}, _peers(wrong), _peers(wrong, other))) == 1


def test_addresses(refusals: Check, update_refusals: Compare) -> None:
    name, parent = "ipaddresses.networking.k8s.io", {"resource": "services", "name": "s", "namespace": "d"}
    base = {"metadata": {"name": "10.0.0.1", "uid": "u"}, "spec": {"parentRef": parent}}
    assert refusals(name, base, {}) == []
    assert refusals(name, base, {"spec.parentRef": {"group": "A", "name": "a/b"}})[1:] == [
        "spec.parentRef.resource: Required value",
        "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'",
    ]
    assert refusals(name, base, {"metadata.name": "2001:DB8::1"}) == [
        'metadata.name: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")'
    ]
    found = update_refusals(name, base, {}, {"spec.parentRef.name": "t"})
    assert [text.partition(": {")[0] for text in found] == ["spec.parentRef: Invalid value"]


def test_service_ranges(refusals: Check, update_refusals: Compare) -> None:
    name, base = "servicecidrs.networking.k8s.io", {"spec": {"cidrs": ["10.0.0.0/16"]}}
    assert refusals(name, base, {}) == []
    assert refusals(name, base, {"spec.cidrs": []}) == [
        "spec.cidrs: Required value: at least one CIDR required"
    ]
    assert refusals(name, base, {"spec.cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}) == [
        'spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: may specify no more than one IP for '
        "each IP "
        "family, i.e 192.168.0.0/24 and 2001:db8::/64"
    ]
    assert update_refusals(name, base, {}, {"spec.cidrs": ["10.0.0.0/16", "fd00::/112"]}) == []
    assert update_refusals(name, base, {}, {"spec.cidrs": ["10.1.0.0/16"]}) == [
        'spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable'
    ]


HPA = "horizontalpodautoscalers.autoscaling"
HALF = {"type": "Utilization", "averageUtilization": 50}
ONE = {"type": "Value", "value": "1"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": HALF}}
SCALER = {
    "spec": {
        "maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "metrics": [CPU],
    }
}
S = "spec.metrics[0]"
TARGET = "must set either a target raw value or a target utilization"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.minReplicas": 0},
         ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
          "spec.metrics: Forbidden: must specify at least one Object or External metric to support "
          "scaling to "
          "zero replicas"]),
        ({"spec.maxReplicas": 0, "spec.minReplicas": 2},
         ["spec.maxReplicas: Required value: must be set and greater than 0",
          "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"]),
        ({"spec.scaleTargetRef": {"kind": "A/B", "apiVersion": "v1"}},
         ["spec.scaleTargetRef.kind: Invalid value: \"A/B\": may not contain '/'",
          "spec.scaleTargetRef.name: Required value",
          'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group']),
        ({"spec.scaleTargetRef": {"kind": "ReplicationController", "name": "r", "apiVersion": "v1"}}, []),
        ({"spec.metrics": [{"type": "x"}]},
         [f'{S}.type: Unsupported value: "x": supported values: "ContainerResource", "External", "Object", '
          '"Pods", "Resource"'] * 2),
        ({"spec.metrics": [{"type": "Pods"}]},
         [f"{S}.pods: Required value: must populate information for the given metric source"]),
        ({"spec.metrics": [{**CPU, "pods": {"metric": {"name": "m"}, "target": ONE}}]},
         [f"{S}.pods.target.averageValue: Required value: must specify a positive target averageValue",
          f"{S}.pods: Forbidden: must populate the given metric source only"]),
        ({f"{S}.resource.target": {"type": "x"}},
         [f'{S}.resource.target.type: Invalid value: "x": must be either Utilization, Value, or AverageValue',
          f"{S}.resource.target.averageUtilization: Required value: {TARGET}"]),
        ({f"{S}.resource.target": {"type": "AverageValue", "averageValue": "0"}},
         [f'{S}.resource.target.averageValue: Invalid value: "0": must be positive']),
        ({"spec.behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601, "selectPolicy": "x", "policies": [
            {"type": "x", "value": 0, "periodSeconds": 1801}]}}},
         ["spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or "
          "equal to "
          "3600",
          'spec.behavior.scaleUp.selectPolicy: Unsupported value: "x": supported values: "Disabled", '
          '"Max", "Min"',
          'spec.behavior.scaleUp.policies[0].type: Unsupported value: "x": supported values: "Percent", '
          '"Pods"',
          "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
          "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or "
          "equal to "
          "1800"]),
    ],
)  # fmt: skip
def test_autoscalers(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(HPA, SCALER, changes) == expected


def test_an_autoscaler_keeps_what_it_has(update_refusals: Compare, status_refusals: Compare) -> None:
    external = {"type": "External", "external": {"metric": {"name": "m"}, "target": ONE}}
    zero = {"spec.minReplicas": 0, "spec.metrics": [external], "spec.scaleTargetRef.apiVersion": "v1"}
    assert update_refusals(HPA, SCALER, zero, {"spec.maxReplicas": 5}) == []
    assert status_refusals(HPA, SCALER, {}, {"status": {"currentReplicas": -1}}) == [
        "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0"
    ]


def _request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "c")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


CSR = "certificatesigningrequests.certificates.k8s.io"
CSR_OBJECT = {"spec": {"request": _request(), "signerName": "a.b/c", "usages": ["client auth"]}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"metadata.name": "Any thing"}, []),
        ({"metadata.name": "a/b"}, ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
        ({"spec.request": "eA=="},
         ['spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST']),
        ({"spec.usages": []}, ["spec.usages: Required value"]),
        ({"spec.usages": ["signing", "signing"]}, ['spec.usages[1]: Duplicate value: "signing"']),
        ({"spec.usages": ["x"]}, ['spec.usages[0]: Unsupported value: "x": supported values: "any", "cert '
                                  'sign"']),
        ({"spec.signerName": ""}, ["spec.signerName: Required value"]),
        ({"spec.signerName": "a"},
         ['spec.signerName: Invalid value: "a": must be a fully qualified domain and path of the form '
          "'example.com/signer-name'"]),
        ({"spec.signerName": "a/B"},
         ['spec.signerName: Invalid value: "a": should be a domain with at least two segments separated '
          'by dots',
          'spec.signerName: Invalid value: "B": validating label "B": a lowercase RFC 1123 subdomain must']),
        ({"spec.signerName": "kubernetes.io/legacy-unknown"},
         ['spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not '
          'allowed '
          "via this API version"]),
        ({"spec.expirationSeconds": 599},
         ["spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 "
          "minutes)"]),
    ],
)  # fmt: skip
def test_signing_requests(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(CSR, CSR_OBJECT, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


APPROVED = {"type": "Approved", "status": "True"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [APPROVED], ['status.conditions: Forbidden: updates may not add a condition of type '
                          '"Approved"']),
        ([APPROVED], [], ['status.conditions: Forbidden: updates may not remove a condition of type '
                          '"Approved"']),
        ([APPROVED], [{**APPROVED, "reason": "x"}],
         ['status.conditions: Forbidden: updates may not modify a condition of type "Approved"']),
        ([], [{"type": "Failed", "status": "False"}],
         ['status.conditions[0].status: Unsupported value: "False": supported values: "True"']),
        ([], [{"type": "x"}], ["status.conditions[0].status: Required value"]),
        ([], [{"type": "x", "status": "True"}] * 2, ['status.conditions[1].type: Duplicate value: "x"']),
    ],
)  # fmt: skip
def test_conditions_of_signing_requests(
    before: list[Any], after: list[Any], expected: list[str], status_refusals: Compare
) -> None:
    old, new = ({"status": {"conditions": each}} for each in (before, after))
    found = status_refusals(CSR, CSR_OBJECT, old, new)
    assert found == expected


def test_a_certificate_is_set_once(status_refusals: Compare) -> None:
    good = base64.b64encode(b"-----BEGIN X-----\nYQ==\n-----END X-----\n").decode()
    assert status_refusals(CSR, CSR_OBJECT, {}, {"status": {"certificate": good}}) == [
        'status.certificate: Invalid value: "<certificate data>": only CERTIFICATE PEM blocks are '
        'allowed, found "X"'
    ]
    assert status_refusals(CSR, CSR_OBJECT, {"status": {"certificate": "eA=="}}, {"status": {}}) == [
        "status.certificate: Forbidden: updates may not modify existing certificate content"
    ]
