"""Tables, discovery and OpenAPI: what kubectl reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import discovery, openapi, resources, table
from nanokube.api.table import pod

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def status(*containers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"phase": "Running", "containerStatuses": list(containers), **fields}


RUNNING = {"ready": True, "state": {"running": {}}}
INIT = [{"name": "i"}]


@pytest.mark.parametrize(
    ("spec", "state", "metadata", "cells"),
    [
        ({}, status(RUNNING), {}, ["1/1", "Running", "0"]),
        ({}, {"phase": "Pending"}, {}, ["0/1", "Pending", "0"]),
        (
            {},
            status(
                {
                    "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"finishedAt": "2025-12-31T23:59:55Z"}},
                }
            ),
            {},
            ["0/1", "CrashLoopBackOff", "3 (5s ago)"],
        ),
        (
            {},
            status({"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}, phase="Succeeded"),
            {},
            ["0/1", "Completed", "0"],
        ),
        (
            {},
            status({"state": {"terminated": {"exitCode": 3}}}, phase="Failed"),
            {},
            ["0/1", "ExitCode:3", "0"],
        ),
        ({}, status(RUNNING), {"deletionTimestamp": "2026-01-01T00:00:00Z"}, ["1/1", "Terminating", "0"]),
        (
            {"initContainers": INIT},
            {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
            {},
            ["0/1", "Init:0/1", "0"],
        ),
        (
            {"initContainers": INIT},
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
                ],
            },
            {},
            ["0/1", "Init:Error", "0"],
        ),
        (
            {},
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            {},
            ["0/1", "SchedulingGated", "0"],
        ),
        ({}, {"phase": "Failed", "reason": "Evicted"}, {}, ["0/1", "Evicted", "0"]),
    ],
)
def test_pod_status(
    spec: dict[str, Any], state: dict[str, Any], metadata: dict[str, Any], cells: list[str]
) -> None:
    obj = {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}, "status": state}
    assert pod.COLUMNS.cells(obj, NOW)[1:4] == cells


def test_table_shape() -> None:
    items = [
        {"metadata": {"name": "d", "creationTimestamp": "2025-12-31T23:00:00Z"}, "spec": {"replicas": 2}}
    ]
    found = table.to_table(
        resources.get("deployments.apps"), items, now=NOW, list_metadata={"resourceVersion": "7"}
    )
    assert [c["name"] for c in found["columnDefinitions"]] == [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ]
    row = found["rows"][0]
    assert row["cells"][:5] == ["d", "0/2", 0, 0, "60m"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert found["metadata"] == {"resourceVersion": "7"}


def test_every_table_fills_its_columns() -> None:
    for resource in resources.ALL:
        found = table.to_table(resource, [{"metadata": {"name": "x"}}], now=NOW)
        assert len(found["rows"][0]["cells"]) == len(found["columnDefinitions"]), resource.name


def test_discovery_lists_every_resource_once() -> None:
    listed = [
        (version["version"], resource["resource"])
        for core in (True, False)
        for group in discovery.aggregated(core=core)["items"]
        for version in group["versions"]
        for resource in version["resources"]
    ]
    assert len(listed) == len(resources.ALL)
    apps = discovery.api_resource_list("apps", "v1")
    assert apps is not None
    assert [r["name"] for r in apps["resources"]][3:6] == [
        "deployments",
        "deployments/scale",
        "deployments/status",
    ]
    assert discovery.api_resource_list("apps", "v2") is None
    assert discovery.api_group("") is None


def test_openapi_v3_is_closed_and_clean() -> None:
    for group, versions in discovery.group_versions().items():
        body = openapi.v3_document(group, versions[0])
        assert body is not None
        document = orjson.loads(body)
        schemas = document["components"]["schemas"]
        missing = {r for r in _references(document)} - {f"#/components/schemas/{n}" for n in schemas}
        assert not missing
        assert b'"null"' not in body
    assert openapi.v3_document("nope", "v1") is None
    patch = document["paths"]
    assert patch


def test_openapi_tells_kubectl_of_field_validation() -> None:
    body = openapi.v3_document("apps", "v1")
    assert body is not None
    operation = orjson.loads(body)["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"][
        "patch"
    ]
    assert {"name": "fieldValidation", "in": "query"}.items() <= operation["parameters"][2].items()
    assert operation["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }


def test_openapi_v2_is_closed() -> None:
    document = orjson.loads(openapi.v2_document())
    assert not _references(document) - {f"#/definitions/{n}" for n in document["definitions"]}


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(v) for v in value.values()))
    return set().union(*(_references(v) for v in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    ("name", "parts", "column", "cell"),
    [
        ("endpoints", {"subsets": [{"notReadyAddresses": [{"ip": "1.2.3.4"}]}]}, 1, ""),
        (
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 1}]}]},
            1,
            "1.2.3.4:1",
        ),
        ("endpoints", {"subsets": []}, 1, "<none>"),
        ("endpointslices.discovery.k8s.io", {"ports": [{}]}, 2, "*"),
        ("endpointslices.discovery.k8s.io", {"ports": [{"name": ""}]}, 2, "<unset>"),
        ("endpointslices.discovery.k8s.io", {"ports": [{"port": 80, "name": "web"}]}, 2, "80"),
        ("resourceslices.resource.k8s.io", {"spec": {"allNodes": True}}, 1, ""),
        (
            "ingresses.networking.k8s.io",
            {"spec": {}, "status": {"loadBalancer": {"ingress": [{"ip": "b"}, {}, {"hostname": "a"}]}}},
            3,
            "a,b",
        ),
    ],
)
def test_cells_are_upstreams(name: str, parts: dict[str, Any], column: int, cell: str) -> None:
    obj = {"metadata": {"name": "x"}, **parts}
    found = table.to_table(resources.get(name), [obj], now=NOW, list_metadata={})
    assert found["rows"][0]["cells"][column] == cell
