"""What Pods and templates may say: cases that a real API server was asked about, too."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api.validation import names
from tests.unit.nanokube.api.validation.conftest import GONE, Changes, Refusals

BASE: Changes = {
    "spec": {
        "serviceAccountName": "default",
        "containers": [
            {
                "name": "c",
                "image": "b",
                "ports": [{"containerPort": 80, "name": "web"}],
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "1"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "securityContext": {"allowPrivilegeEscalation": False},
            }
        ],
        "initContainers": [{"name": "i", "image": "b"}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "x"}}],
    }
}
C = "spec.containers[0]"
ENV = f"{C}.env[0]"
VOLUME = "spec.volumes[1]"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({f"{C}.name": "a.b"}, [f'{C}.name: Invalid value: "a.b": must not contain dots']),
        (
            {f"{C}.envFrom": [{}]},
            [f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
        ),
        (
            {ENV: {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}},
            [
                f'{ENV}.valueFrom.fieldRef.fieldPath: Invalid value: "x": error converting fieldPath: '
                "field label not supported: x"
            ],
        ),
        (
            {ENV: {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['a b']"}}}},
            [f'{ENV}.valueFrom.fieldRef: Invalid value: "a b": {names.qualified_name("a b")[0]}'],
        ),
        (
            {
                ENV: {
                    "name": "A",
                    "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Ki"}},
                }
            },
            [
                f'{ENV}.valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s '
                "values 1m and 1 are supported with the cpu resource"
            ],
        ),
        (
            {ENV: {"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}},
            [f'{ENV}.valueFrom.secretKeyRef.name: Invalid value: "": {names.dns_subdomain("")[0]}'],
        ),
        (
            {ENV: {"name": "A", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "w"}}}},
            [
                f'{ENV}.valueFrom.fileKeyRef.volumeName: Invalid value: "w": '
                "referenced volume must be of type emptyDir"
            ],
        ),
        (
            {f"{C}.volumeMounts[0].mountPropagation": "Bidirectional"},
            [
                f"{C}.volumeMounts.mountPropagation: Forbidden: "
                "Bidirectional mount propagation is available only to privileged containers"
            ],
        ),
        (
            {f"{C}.volumeMounts[0].recursiveReadOnly": "Enabled"},
            [
                f"{C}.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true"
            ],
        ),
        (
            {f"{C}.volumeDevices": [{"name": "w", "devicePath": "/v"}]},
            [
                f'{C}.volumeMounts[0].mountPath: Invalid value: "/v": '
                "must not already exist as a path in volumeDevices",
                f'{C}.volumeDevices[0].name: Invalid value: "w": '
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                f'{C}.volumeDevices[0].devicePath: Invalid value: "/v": '
                "must not already exist as a path in volumeMounts",
            ],
        ),
        (
            {f"{C}.resources.limits": {"foo": "1"}},
            [
                f'{C}.resources.limits[foo]: Invalid value: "foo": {text}'
                for text in (
                    "must be a standard resource type or fully qualified",
                    "must be a standard resource for containers",
                )
            ]
            + [
                f'{C}.resources.requests[foo]: Invalid value: "foo": {text}'
                for text in (
                    "must be a standard resource type or fully qualified",
                    "must be a standard resource for containers",
                )
            ],
        ),
        (
            {f"{C}.resources.claims": [{"name": "x"}]},
            [
                f'{C}.resources.claims[0]: Not found: "x": '
                "must be one of the names in pod.spec.resourceClaims which is empty"
            ],
        ),
        (
            {f"{C}.resizePolicy": [{"resourceName": "disk", "restartPolicy": "NotRequired"}]},
            [f'{C}.resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"'],
        ),
        (
            {f"{C}.restartPolicyRules": [{"action": "Restart"}]},
            [
                f"{C}.restartPolicy: Required value: must specify restartPolicy when restart rules are used",
                f"{C}.restartPolicyRules[0].exitCodes: Required value: must be specified",
            ],
        ),
        (
            {f"{C}.lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            [
                f"{C}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
                "terminationGracePeriodSeconds (30)"
            ],
        ),
        (
            {f"{C}.securityContext.appArmorProfile": {"type": "Localhost"}},
            [
                f"{C}.securityContext.appArmorProfile.localhostProfile: Required value: "
                "must be set when AppArmor type is Localhost"
            ],
        ),
        (
            {f"{C}.securityContext.seccompProfile": {"type": "Unconfined", "localhostProfile": "x"}},
            [
                f"{C}.securityContext.seccompProfile.localhostProfile: Invalid value: "
                '{"Type":"Unconfined","LocalhostProfile":"x"}: '
                "can only be set when seccomp type is Localhost"
            ],
        ),
        (
            {"spec.initContainers[0].resizePolicy": [
                {"resourceName": "cpu", "restartPolicy": "RestartContainer"}
            ]},
            [
                "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: "
                "\"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers"
            ],
        ),
        (
            {VOLUME: {"name": "w", "configMap": {"name": "x"}, "hostPath": {"path": "/x"}}},
            [f"{VOLUME}.configMap: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            {VOLUME: {"name": "w", "downwardAPI": {}, "hostPath": {"path": "/x"}}},
            [f"{VOLUME}.downwarAPI: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            {VOLUME: {"name": "w", "nfs": {"server": "s", "path": "p"}}},
            [f'{VOLUME}.nfs.path: Invalid value: "p": must be an absolute path'],
        ),
        (
            {VOLUME: {"name": "w", "iscsi": {"targetPortal": "a", "iqn": "x"}}},
            [
                f'{VOLUME}.iscsi.iqn: Invalid value: "x": '
                "must be valid format starting with iqn, eui, or naa"
            ],
        ),
        (
            {
                VOLUME: {
                    "name": "w",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
                            {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}},
                        ]
                    },
                }
            },
            [f'{VOLUME}.projected: Invalid value: "b": conflicting duplicate paths'],
        ),
        (
            {VOLUME: {"name": "w", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}},
            [
                f"{VOLUME}.ephemeral.volumeClaimTemplate.spec.accessModes: Required value: "
                "at least 1 access mode is required",
                f"{VOLUME}.ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
            ],
        ),
        (
            {"spec.schedulingGates": [{"name": "a/b"}, {"name": "a/b"}]},
            ['spec.schedulingGates[1]: Duplicate value: "a/b"'],
        ),
        (
            {"spec.readinessGates": [{"conditionType": ""}]},
            [
                f'spec.readinessGates[0].conditionType: Invalid value: "": {text}'
                for text in names.qualified_name("")
            ],
        ),
        (
            {"spec.preemptionPolicy": "x"},
            [
                'spec.preemptionPolicy: Unsupported value: "x": '
                'supported values: "PreemptLowerPriority", "Never"'
            ],
        ),
        (
            {"spec.dnsConfig": {"searches": ["a b", "_x.b.", "."]}},
            [f'spec.dnsConfig.searches[0]: Invalid value: "a b": {names.loose_subdomain("a b")[0]}'],
        ),
        (
            {"spec.resourceClaims": [{"name": "x"}]},
            [
                "spec.resourceClaims[0]: Invalid value: "
                '{"Name":"x","ResourceClaimName":null,"ResourceClaimTemplateName":null}: '
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            ],
        ),
        (
            {"spec.resources": {"limits": {"storage": "1"}}},
            [
                'spec.resources.limits[storage]: Unsupported value: "storage": '
                'supported values: "cpu", "hugepages-", "memory"'
            ],
        ),
        (
            {"spec.securityContext": {"seLinuxChangePolicy": "MountOption"}},
            [
                'spec.securityContext.seLinuxChangePolicy: Unsupported value: "MountOption": '
                'supported values: "Recursive"'
            ],
        ),
        (
            {"spec.hostNetwork": True, "spec.securityContext": {"sysctls": [{"name": "net/a", "value": ""}]}},
            [
                'spec.securityContext.sysctls[0].name: Invalid value: "net/a": '
                "may not be specified when 'hostNetwork' is true"
            ],
        ),
        ({"spec.os": {"name": "bsd"}}, [
            'spec.os: Unsupported value: "bsd": supported values: "linux", "windows"'
        ]),
        (
            {"spec.os": {"name": "windows"}},
            [f"{C}.securityContext.allowPrivilegeEscalation: Forbidden: cannot be set for a windows pod"],
        ),
        (
            {"spec.securityContext": {"windowsOptions": {"hostProcess": True, "runAsUserName": "a\\"}}},
            [
                'spec.securityContext.windowsOptions.runAsUserName: Invalid value: "a\\\\": '
                "runAsUserName's User cannot be empty",
                "spec.hostNetwork: Invalid value: false: "
                "hostNetwork must be true if pod contains any hostProcess containers",
            ],
        ),
        (
            {"spec.nodeName": "n", "spec.schedulingGates": [{"name": "a/b"}]},
            ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
        ),
        (
            {"metadata.annotations": {"controller.kubernetes.io/pod-deletion-cost": "+1"}},
            [
                "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: "
                'Invalid value: "+1": must be a 32bit integer'
            ],
        ),
        (
            {
                "spec.affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "Exists"}]}]
                        }
                    }
                }
            },
            [
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                f".nodeSelectorTerms[0].matchFields[0].{text}"
                for text in (
                    'operator: Invalid value: "Exists": not a valid selector operator',
                    'key: Invalid value: "a": not a valid field selector key',
                )
            ],
        ),
        (
            {
                "spec.topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "z",
                        "nodeTaintsPolicy": "x",
                        "matchLabelKeys": ["a"],
                    }
                ]
            },
            [
                f"spec.topologySpreadConstraints[0].{text}"
                for text in (
                    'nodeTaintsPolicy: Unsupported value: "x": supported values: "Honor", "Ignore"',
                    "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
                )
            ],
        ),
    ],
)  # fmt: skip
def test_pods(refusals: Refusals, changes: Changes, expected: list[str]) -> None:
    assert refusals("pods", BASE, changes) == expected


WORKLOAD: Changes = {
    "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, **BASE},
    }
}


@pytest.mark.parametrize("kind", ["deployments.apps", "replicasets.apps", "statefulsets.apps"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"spec.template.metadata.labels": GONE},
            [
                "spec.template.metadata.labels: Invalid value: null: "
                "`selector` does not match template `labels`"
            ],
        ),
        (
            {"spec.template.spec.ephemeralContainers": [{"name": "e", "image": "x"}]},
            [
                "spec.template.spec.ephemeralContainers: Forbidden: "
                "ephemeral containers not allowed in pod template"
            ],
        ),
    ],
)  # fmt: skip
def test_templates(refusals: Refusals, kind: str, changes: Changes, expected: list[str]) -> None:
    assert refusals(kind, WORKLOAD, changes) == expected


def test_unreadable_selectors_leave_the_template_unread(refusals: Refusals) -> None:
    bad: dict[str, Any] = {"matchLabels": {"app": "a b"}}
    changes = {"spec.selector": bad, "spec.template.spec.containers[0].image": ""}
    found = refusals("deployments.apps", WORKLOAD, changes)
    assert found[1:] == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"a b"}}: invalid label selector'
    ]
