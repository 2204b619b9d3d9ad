"""Storage classes, CSI objects, attachments: what is refused, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api import resources, strategy
from nanokube.api.validation import differences, storage

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
Compare = Callable[[str, dict[str, Any], dict[str, Any], dict[str, Any]], list[str]]
GROUP = "storage.k8s.io"
CLASS, VAC = f"storageclasses.{GROUP}", f"volumeattributesclasses.{GROUP}"
DRIVER, NODE, CAPACITY = f"csidrivers.{GROUP}", f"csinodes.{GROUP}", f"csistoragecapacities.{GROUP}"
ATTACHMENT = f"volumeattachments.{GROUP}"
TERM = {"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"provisioner": ""}, ["provisioner: Required value"]),
        ({"provisioner": "A/B C"}, ['provisioner: Invalid value: "a/b c": name part must consist of']),
        ({"reclaimPolicy": "Recycle"},
         ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"']),
        ({"volumeBindingMode": "x"},
         ['volumeBindingMode: Unsupported value: "x": supported values: "Immediate", '
          '"WaitForFirstConsumer"']),
        ({"parameters": {"": "a"}}, ['parameters: Invalid value: "": field can not be empty.']),
        ({"parameters": {str(i): "" for i in range(513)}},
         ["parameters: Too long: may not be more than 512 bytes"]),
        ({"parameters": {"a": "x" * 262144}}, ["parameters: Too long: may not be more than 262144 bytes"]),
        ({"allowedTopologies": [TERM, TERM]},
         ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']),
        ({"allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": []},
                                                           {"key": "z", "values": ["a", "a"]}]}]},
         ["allowedTopologies[0].matchLabelExpressions[0].values: Required value",
          'allowedTopologies[0].matchLabelExpressions[1].values[1]: Duplicate value: "a"',
          'allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "z"']),
    ],
)  # fmt: skip
def test_storage_classes(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    found = refusals(CLASS, {"provisioner": "a.b/c"}, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected


def test_a_storage_class_stays(update_refusals: Compare) -> None:
    base = {"provisioner": "a.b/c"}
    assert update_refusals(CLASS, base, {}, {"parameters": {}, "allowVolumeExpansion": True}) == []
    assert update_refusals(CLASS, base, {}, {"parameters": {"a": "b"}, "reclaimPolicy": "Retain"}) == [
        'parameters: Invalid value: {"a":"b"}: field is immutable',
        'reclaimPolicy: Invalid value: "Retain": field is immutable',
    ]


def test_attributes_classes(refusals: Check, update_refusals: Compare) -> None:
    base = {"driverName": "a.b", "parameters": {"a": "b"}}
    assert refusals(VAC, base, {}) == []
    assert refusals(VAC, base, {"parameters": {}, "driverName": ""}) == [
        "driverName: Required value",
        "parameters: Required value: must contain at least one key/value pair",
    ]
    assert update_refusals(VAC, base, {}, {"parameters": {"a": "c"}, "driverName": "b"}) == [
        "driverName: Forbidden: updates to driverName are forbidden.",
        "parameters: Forbidden: updates to parameters are forbidden.",
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"fsGroupPolicy": "x"},
         ['spec.fsGroupPolicy: Unsupported value: "x": supported values: "File", "None", '
          '"ReadWriteOnceWithFSType"']),
        ({"volumeLifecycleModes": ["x"]},
         ['spec.volumeLifecycleModes: Unsupported value: "x": supported values: "Persistent", "Ephemeral"']),
        ({"tokenRequests": [{"audience": "a", "expirationSeconds": 599}, {"audience": "a"}]},
         ["spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less "
          "than 10 "
          "minutes",
          'spec.tokenRequests[1].audience: Duplicate value: "a"']),
        ({"nodeAllocatableUpdatePeriodSeconds": 9},
         ["spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 "
          "seconds"]),
        ({"serviceAccountTokenInSecrets": True},
         ["spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set "
          "but no "
          "tokenRequests are specified"]),
    ],
)  # fmt: skip
def test_drivers(spec: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(DRIVER, {"spec": spec}, {}) == expected


def test_what_of_a_driver_stays(update_refusals: Compare) -> None:
    assert update_refusals(DRIVER, {"spec": {}}, {}, {"spec.attachRequired": False}) == [
        "spec.attachedRequired: Invalid value: false: field is immutable"
    ]


def test_a_driver_counts_its_changes() -> None:
    old: dict[str, Any] = {"metadata": {"name": "d"}, "spec": {"podInfoOnMount": False}}
    new: dict[str, Any] = {
        "metadata": {"name": "d"},
        "spec": {"podInfoOnMount": True, "preventPodSchedulingIfMissing": True},
    }
    strategy.prepare_for_update(resources.get(DRIVER), new, old)
    assert (new["metadata"].get("generation"), new["spec"]) == (1, {"podInfoOnMount": True})


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ({}, []),
        ({"name": ""}, ["spec.drivers[0].name: Required value"]),
        ({"nodeID": ""}, ["spec.drivers[0].nodeID: Required value"]),
        ({"allocatable": {"count": -1}},
         ["spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0"]),
        ({"topologyKeys": ["a", "a"]}, ['spec.drivers[0]: Duplicate value: "a"']),
    ],
)  # fmt: skip
def test_nodes(driver: dict[str, Any], expected: list[str], refusals: Check) -> None:
    good = {"name": "d.io", "nodeID": "n", "topologyKeys": ["a/b"]}
    assert refusals(NODE, {"spec": {"drivers": [{**good, **driver}]}}, {}) == expected


def test_a_driver_of_a_node_stays_but_for_its_count(update_refusals: Compare) -> None:
    base = {"spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": 1}}]}}
    assert update_refusals(NODE, base, {}, {"spec.drivers[0].allocatable": {"count": 2}}) == []
    found = update_refusals(NODE, base, {}, {"spec.drivers[0].nodeID": "m"})
    assert found == [
        'spec.drivers: Invalid value: {"name":"d","nodeID":"m","topologyKeys":null}: field is immutable'
    ]


def test_capacities(refusals: Check, update_refusals: Compare) -> None:
    base = {"storageClassName": "c", "capacity": "1Gi"}
    assert refusals(CAPACITY, base, {}) == []
    assert refusals(CAPACITY, base, {"capacity": "-1"}) == [
        'capacity: Invalid value: "-1": must be greater than or equal to 0'
    ]
    assert update_refusals(CAPACITY, base, {}, {"storageClassName": "d"}) == [
        'storageClassName: Invalid value: "d": field is immutable'
    ]


ATTACHED = {"spec": {"attacher": "d.io", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}
INLINE = {"csi": {"driver": "d.io", "volumeHandle": "h"}, "accessModes": ["ReadWriteOnce"]}
ONE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.source": {"inlineVolumeSpec": INLINE}}, []),
        ({"spec.source": {}}, [f"spec.source: Required value: {ONE}"]),
        ({"spec.source": {"inlineVolumeSpec": INLINE, "persistentVolumeName": "v"}},
         [f"spec.source: Forbidden: {ONE}"]),
        ({"spec.attacher": ""}, ["spec.attacher: Required value"]),
        ({"spec.source": {"inlineVolumeSpec": {"claimRef": {"name": "c"}}}},
         ["spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline "
          "volumes",
          "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline "
          "volumes",
          "spec.source.inlineVolumeSpec.accessModes: Required value",
          "spec.source.inlineVolumeSpec: Required value: must specify a volume type"]),
    ],
)  # fmt: skip
def test_attachments(changes: dict[str, Any], expected: list[str], refusals: Check) -> None:
    assert refusals(ATTACHMENT, ATTACHED, changes) == expected


def test_an_attachment_stays(update_refusals: Compare, status_refusals: Compare) -> None:
    assert len(update_refusals(ATTACHMENT, ATTACHED, {}, {"spec.nodeName": "m"})) == 1
    status = {"attachError": {"message": "x" * 1025, "errorCode": -1}}
    assert status_refusals(ATTACHMENT, ATTACHED, {}, {"status": status}) == [
        "status.attachError.message: Too long: may not be more than 262144 bytes",
        "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ]


def test_runtime_classes(refusals: Check) -> None:
    name = "runtimeclasses.node.k8s.io"
    toleration = {"key": "a", "operator": "Exists"}
    good = {
        "handler": "h",
        "overhead": {"podFixed": {"cpu": "1"}},
        "scheduling": {"tolerations": [toleration]},
    }
    assert refusals(name, good, {}) == []
    assert refusals(name, good, {"handler": ""}) == ["handler: Required value"]
    found = refusals(
        name, good, {"overhead.podFixed": {"x": "1"}, "scheduling.tolerations": [toleration] * 2}
    )
    assert [text.partition(": ")[0] for text in found] == [
        "overhead.limits[x]",
        "overhead.limits[x]",
        "scheduling.tolerations[1]",
    ]


def test_leases() -> None:
    resource = resources.get("leases.coordination.k8s.io")
    spec = {"strategy": "x", "preferredHolder": "h", "holderIdentity": "i"}
    lease: dict[str, Any] = {"metadata": {}, "spec": spec}
    strategy.prepare_for_create(resource, lease, namespace="d", uid="u", now="2026-01-02T03:04:05Z")
    assert lease["spec"] == {"holderIdentity": "i"}


def test_a_new_status_has_gos_zeros() -> None:
    attachment: dict[str, Any] = {"metadata": {}, "spec": {}}
    given = {"loadBalancer": {"ingress": [{"ip": "1"}]}}
    ingress: dict[str, Any] = {"metadata": {}, "spec": {}, "status": given}
    for name, obj in ((ATTACHMENT, attachment), ("ingresses.networking.k8s.io", ingress)):
        resource = resources.get(name)
        strategy.prepare_for_create(resource, obj, namespace="d", uid="u", now="2026-01-02T03:04:05Z")
    assert (attachment["status"], ingress["status"]) == ({"attached": False}, {"loadBalancer": {}})


def _placed(key: str, **spec: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]}]
    return {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}, **spec}}


def test_a_volume_stays_where_it_is() -> None:
    beta, stable = "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"
    assert storage.validate_volume_update(_placed(stable), _placed(beta)) == []
    assert storage.validate_volume_update(_placed(stable), {"spec": {}}) == []
    nameless = _placed("other")
    del nameless["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["key"]
    cases = [(_placed("other"), stable), ({"spec": {}}, stable), (nameless, "other"), (nameless, beta)]
    for moved, was in cases:
        (found,) = storage.validate_volume_update(moved, _placed(was))
        assert str(found).endswith("field is immutable, except for updating from beta label to GA")


def test_a_volume_may_get_a_secret_to_grow_by_and_keeps_its_class() -> None:
    csi = {"driver": "d", "volumeHandle": "h"}
    grown = {"spec": {"csi": {**csi, "controllerExpandSecretRef": {"name": "s"}}}}
    assert storage.validate_volume_update(grown, {"spec": {"csi": csi}}) == []
    (found,) = storage.validate_volume_update({"spec": {}}, {"spec": {"volumeAttributesClassName": "gold"}})
    assert (
        str(found)
        == "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"
    )


def test_a_refused_change_of_a_claim_shows_what_it_changes() -> None:
    def claim(size: str, **spec: Any) -> dict[str, Any]:
        requests = {"requests": {"storage": size}}
        return {"spec": {"resources": requests, **spec}, "status": {"phase": "Bound"}}

    old = claim("1Gi", accessModes=["ReadWriteOnce"], dataSourceRef={"kind": "K", "name": "n"})
    new = claim("2Gi", accessModes=["ReadOnlyMany"], dataSourceRef={"kind": "K", "name": "n"})
    (found,) = storage.validate_claim_update(new, old)
    assert str(found) == (
        "spec: Forbidden: spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims\n"
        '@@ -1,6 +1,6 @@\n {\n  "AccessModes": [\n-  "ReadWriteOnce"\n+  "ReadOnlyMany"\n  ],\n'
        '  "Selector": null,\n  "Resources": {\n'
    )
    grown = {**old["spec"], "resources": new["spec"]["resources"]}
    assert storage.validate_claim_update({**old, "spec": grown}, old) == []


def test_the_reference_of_a_claim_is_shown_with_upstreams_names() -> None:
    sources = {"dataSource": {"kind": "K", "name": "n"}, "dataSourceRef": {"kind": "K"}}
    shown = differences.claim({**sources, "selector": {"matchLabels": {"b": "1", "a": "2"}}})
    assert list(shown["Selector"]["matchLabels"]) == ["a", "b"]
    assert shown["DataSource"] == {"APIGroup": None, "Kind": "K", "Name": "n"}
    assert shown["DataSourceRef"] == {"APIGroup": None, "Kind": "K", "Name": "", "Namespace": None}


def test_a_refused_change_of_a_volume_shows_what_it_changes() -> None:
    old, new = ({"spec": {"nfs": {"server": s, "path": "/"}}} for s in "ab")
    (found,) = storage.validate_volume_update(new, old)
    assert str(found).endswith(
        'immutable after creation\n@@ -1,6 +1,6 @@\n {\n  "nfs": {\n-  "server": "a",\n+  "server": "b",\n'
        '   "path": "/"\n  }\n }\n'
    )
