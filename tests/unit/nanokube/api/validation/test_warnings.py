"""What clients are told of objects that are accepted, in the words of a real API server."""

from __future__ import annotations

import pytest

from nanokube.api import resources
from nanokube.api.validation import warnings
from tests.unit.nanokube.api.validation.conftest import Changes, filled

POD: Changes = {"spec": {"containers": [{"name": "c", "image": "b"}]}}
TEMPLATE: Changes = {"spec": {"selector": {}, "template": {"metadata": {}, **POD}}}
PORTS = [
    {"name": "a", "containerPort": 1, "hostIP": "1.2.3.4"},
    {"name": "a", "containerPort": 1, "hostPort": 2},
]


@pytest.mark.parametrize(
    ("name", "base", "changes", "expected"),
    [
        ("pods", POD, {}, []),
        (
            "pods",
            POD,
            {"metadata.name": "a.b"},
            [
                "metadata.name: this is used in the Pod's hostname, which can result in surprising "
                "behavior; a DNS label is recommended: [must not contain dots]"
            ],
        ),
        (
            "pods",
            POD,
            {"spec.containers[0].env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
            [
                'spec.containers[0].env[1]: hides previous definition of "A", '
                "which may be dropped when using apply"
            ],
        ),
        (
            "pods",
            POD,
            {"spec.containers[0].env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A) 2"}]},
            [],
        ),
        (
            "pods",
            POD,
            {"spec.containers[0].ports": PORTS},
            [
                "spec.containers[0].ports[0]: hostIP set without hostPort: "
                "{Name:a HostPort:0 ContainerPort:1 Protocol:TCP HostIP:1.2.3.4}",
                "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
                'spec.containers[0].ports[1]: duplicate port name "a" with spec.containers[0].ports[0], '
                "services and probes that select ports by name will use spec.containers[0].ports[0]",
            ],
        ),
        (
            "deployments.apps",
            TEMPLATE,
            {"spec.template.spec.nodeSelector": {"beta.kubernetes.io/os": "linux"}},
            [
                "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: "
                'deprecated since v1.14; use "kubernetes.io/os" instead'
            ],
        ),
        (
            "pods",
            POD,
            {
                "spec.volumes": [
                    {"name": "g", "gitRepo": {"repository": "r"}},
                    {
                        "name": "c",
                        "configMap": {
                            "name": "x",
                            "items": [{"key": "k", "path": "a"}, {"key": "l", "path": "a/b"}],
                        },
                    },
                ]
            },
            [
                "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
                'volume "c" (ConfigMap "x"): overlapping paths: "a/b" with "a"',
            ],
        ),
        (
            "pods",
            POD,
            {"spec.containers[0].resources": {"limits": {"memory": "100m"}}},
            [
                f'spec.containers[0].resources.{key}[memory]: fractional byte value "100m" is invalid, '
                "must be an integer"
                for key in ("limits", "requests")
            ],
        ),
        (
            "services",
            {"spec": {"type": "ClusterIP", "externalIPs": ["2001:db8:0::1"], "externalName": "a"}},
            {},
            [
                'spec.externalIPs[0]: IPv6 address "2001:db8:0::1" should be in RFC 5952 canonical format '
                '("2001:db8::1")',
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                'spec.externalName is ignored when spec.type is not "ExternalName"',
            ],
        ),
        (
            "persistentvolumes",
            {"spec": {"rbd": {}, "persistentVolumeReclaimPolicy": "Recycle"}},
            {},
            [
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the "
                "recommended approach is to use dynamic provisioning.",
                "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
            ],
        ),
        (
            "secrets",
            {"type": "kubernetes.io/tls", "data": {"tls.crt": "dg==", "tls.key": "dg=="}},
            {},
            ["tls: failed to find any PEM data in certificate input"],
        ),
        (
            "resourcequotas",
            {"spec": {"hard": {"cpu": "2", "limits.cpu": "1"}}},
            {},
            ["ResourceQuota cpu (2) should be less than limits.cpu (1)"],
        ),
        (
            "networkpolicies.networking.k8s.io",
            {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "2001:db8:0::/64"}}]}]}},
            {},
            [
                'spec.egress[0].to[0].ipBlock.cidr: IPv6 CIDR value "2001:db8:0::/64" should be in '
                'RFC 5952 canonical format ("2001:db8::/64")'
            ],
        ),
    ],
)
def test_new_objects(name: str, base: Changes, changes: Changes, expected: list[str]) -> None:
    assert warnings.of(resources.get(name), filled(name, base, changes)) == expected


def test_nothing_is_said_again_of_what_stays() -> None:
    changes = {"metadata.generation": 1, "spec.template.spec.imagePullSecrets": [{"name": ""}]}
    obj = filled("deployments.apps", TEMPLATE, changes)
    resource = resources.get("deployments.apps")
    assert warnings.of(resource, obj)
    assert not warnings.of(resource, obj, obj)


def test_a_driver_is_warned_of_when_its_tokens_change() -> None:
    resource = resources.get("csidrivers.storage.k8s.io")
    old: Changes = {"metadata": {"name": "d"}, "spec": {"tokenRequests": [{"audience": "a"}]}}
    other = {**old, "spec": {"tokenRequests": [{"audience": "b"}]}}
    assert warnings.of(resource, old)
    assert not warnings.of(resource, {**old, "spec": {**old["spec"], "podInfoOnMount": True}}, old)
    assert warnings.of(resource, other, old)
