"""What Jobs, volumes and claims may say: cases that a real API server was asked about, too."""

from __future__ import annotations

import pytest

from tests.unit.nanokube.api.validation.conftest import GONE, Changes, Refusals

RULE: Changes = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}
JOB: Changes = {
    "spec": {
        "manualSelector": True,
        "selector": {"matchLabels": {"a": "b"}},
        "completionMode": "Indexed",
        "completions": 3,
        "podFailurePolicy": {"rules": [RULE]},
        "successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "b"}]},
        },
    }
}
FAILURE = "spec.podFailurePolicy.rules[0]"
SUCCESS = "spec.successPolicy.rules[0]"
VOLUME: Changes = {
    "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
}
CLAIM: Changes = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {f"{FAILURE}.onExitCodes": {"operator": "", "values": [2, 0, 2], "containerName": "x"}},
            [
                f'{FAILURE}.onExitCodes.operator: Required value: valid values: ["In" "NotIn"]',
                f'{FAILURE}.onExitCodes.containerName: Invalid value: "x": '
                "must be one of the container or initContainer names in the pod template",
                f"{FAILURE}.onExitCodes.values[2]: Duplicate value: 2",
                f"{FAILURE}.onExitCodes.values: Invalid value: [2,0,2]: must be ordered",
            ],
        ),
        (
            {FAILURE: {"action": "FailIndex"}},
            [
                f'{FAILURE}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
                f"{FAILURE}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ],
        ),
        (
            {SUCCESS: {}},
            [
                f"{SUCCESS}: Required value: "
                "at least one of succeededCount or succeededIndexes must be specified"
            ],
        ),
        (
            {SUCCESS: {"succeededIndexes": "1,0"}},
            [
                f'{SUCCESS}.succeededIndexes: Invalid value: "1,0": error parsing succeededIndexes: '
                "non-increasing order, previous: 1, current: 0"
            ],
        ),
        (
            {SUCCESS: {"succeededIndexes": "0-1", "succeededCount": 4}},
            [
                f"{SUCCESS}.succeededCount: Invalid value: 4: must be less than or equal to {text}"
                for text in (
                    "3 (the number of specified completions)",
                    "2 (the number of indexes in the specified succeededIndexes field)",
                )
            ],
        ),
        (
            {"spec.managedBy": "x"},
            ['spec.managedBy: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'],
        ),
        (
            {"metadata.name": "a.b"},
            [
                'metadata.name: Invalid value: "a.b": '
                "will not able to create pod with invalid DNS label: a.b-2"
            ],
        ),
        (
            {"spec.manualSelector": False},
            [
                f"spec.template.metadata.labels[{key}]: Required value: must be '{value}'"
                for key, value in (
                    ("controller-uid", "u"),
                    ("job-name", "x"),
                    ("batch.kubernetes.io/controller-uid", "u"),
                    ("batch.kubernetes.io/job-name", "x"),
                )
            ]
            + ['spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` not auto-generated'],
        ),
    ],
)
def test_jobs(refusals: Refusals, changes: Changes, expected: list[str]) -> None:
    assert refusals("jobs.batch", JOB, changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"spec.capacity": GONE},
            [
                "spec.capacity: Required value",
                'spec.capacity: Unsupported value: null: supported values: "storage"',
            ],
        ),
        (
            {"spec.nodeAffinity": {}},
            ["spec.nodeAffinity.required: Required value: must specify required node constraints"],
        ),
        (
            {"spec.nfs": {"server": "s", "path": "/"}, "spec.csi": {}},
            [
                "spec.nfs: Forbidden: may not specify more than 1 volume type",
                "spec.csi: Forbidden: may not specify more than 1 volume type",
            ],
        ),
        (
            {"spec.volumeAttributesClassName": "x"},
            ["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
        ),
        (
            {
                "spec.hostPath": GONE,
                "spec.csi": {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {}},
            },
            [
                "spec.csi.nodePublishSecretRef.name: Required value",
                "spec.csi.nodePublishSecretRef.namespace: Required value",
            ],
        ),
        (
            {"spec.hostPath.path": "/x/..", "spec.persistentVolumeReclaimPolicy": "Recycle"},
            [
                "spec.hostPath.path: Invalid value: \"/x/..\": must not contain '..'",
                "spec.persistentVolumeReclaimPolicy: Forbidden: "
                "may not be 'recycle' for a hostPath mount of '/'",
            ],
        ),
    ],
)  # fmt: skip
def test_volumes(refusals: Refusals, changes: Changes, expected: list[str]) -> None:
    assert refusals("persistentvolumes", VOLUME, changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"spec.dataSourceRef": {"kind": "Thing"}},
            [
                "spec.dataSourceRef.name: Required value",
                'spec.dataSourceRef: Invalid value: "Thing": '
                "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            ],
        ),
        (
            {
                "spec.dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                "spec.dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"},
            },
            ["spec: Invalid value: {}: must match dataSourceRef"],
        ),
    ],
)
def test_claims(refusals: Refusals, changes: Changes, expected: list[str]) -> None:
    assert refusals("persistentvolumeclaims", CLAIM, changes) == expected
