"""What workloads are refused for, beside what their Pods are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.api.validation.conftest import Refusals

_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_MOUNT = {"name": "data", "mountPath": "/data"}
STATEFUL_SET: dict[str, Any] = {
    "metadata": {"name": "s", "namespace": "ns"},
    "spec": {
        "serviceName": "s",
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i", "volumeMounts": [_MOUNT]}]},
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": _CLAIM}],
    },
}
_POD = "spec.template.spec"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        # What the controller overwrites is not looked at.
        ({f"{_POD}.hostname": "Bad_Name", f"{_POD}.subdomain": "Bad_Name"}, []),
        ({f"{_POD}.volumes": [{"name": "data"}, {"name": "more", "emptyDir": {}}]}, []),
        (
            {"spec.volumeClaimTemplates[0].metadata.name": "other"},
            [f'{_POD}.containers[0].volumeMounts[0].name: Not found: "data"'],
        ),
    ],
)
def test_claims_of_a_stateful_set_are_volumes_of_its_template(
    refusals: Refusals, changes: dict[str, Any], found: list[str]
) -> None:
    assert refusals("statefulsets.apps", STATEFUL_SET, changes) == found


def test_errors_of_volumes_and_policies_come_as_upstream_has_them(refusals: Refusals) -> None:
    spec = {
        "containers": [{"name": "c", "image": "i"}],
        "restartPolicy": "x",
        "volumes": [{"name": "v"}, {"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}, {"name": "v"}],
    }
    assert refusals("pods", {"metadata": {"name": "p"}, "spec": spec}, {}) == [
        "spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type",
        'spec.volumes[1].name: Duplicate value: "v"',
        'spec.volumes[2].name: Duplicate value: "v"',
        'spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
    ]
