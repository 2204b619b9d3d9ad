"""Definitions of the OpenAPI documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api.openapi import schemas


def test_only_structs_by_value_default_to_empty() -> None:
    found = schemas.v3(["io.k8s.api.apps.v1.DaemonSet"])
    daemon_set = found["io.k8s.api.apps.v1.DaemonSetSpec"]["properties"]
    assert daemon_set["template"]["default"] == {}
    assert "default" not in daemon_set["selector"]  # a pointer, and demanded
    condition = found["io.k8s.api.apps.v1.DaemonSetCondition"]["properties"]
    assert "default" not in condition["lastTransitionTime"]  # a text


def test_version_3_says_what_go_writes_of_what_is_not_set_and_version_2_does_not() -> None:
    names = ["io.k8s.api.core.v1.Pod", "io.k8s.api.networking.v1.Ingress"]
    found, plain = schemas.v3(names), schemas.v2(names)
    port = found["io.k8s.api.core.v1.ContainerPort"]["properties"]
    assert (port["containerPort"]["default"], port["protocol"]["default"]) == (0, "TCP")
    assert "default" not in port["hostPort"]  # left out when it is zero
    path = found["io.k8s.api.networking.v1.HTTPIngressPath"]["properties"]
    assert "default" not in path["pathType"]  # demanded, but a pointer
    assert found["io.k8s.api.core.v1.LocalObjectReference"]["properties"]["name"]["default"] == ""
    assert "default" not in plain["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]


@pytest.mark.parametrize("make", [schemas.v2, schemas.v3])
def test_fields_name_their_only_values(make: Callable[[list[str]], dict[str, Any]]) -> None:
    found = make(["io.k8s.api.core.v1.Pod", "io.k8s.api.core.v1.PersistentVolumeClaim"])
    policy = found["io.k8s.api.core.v1.PodSpec"]["properties"]["restartPolicy"]
    assert policy["enum"] == ["Always", "Never", "OnFailure"]
    assert policy["description"].endswith('\n - `"Never"`\n - `"OnFailure"`')
    kind = found["io.k8s.api.core.v1.HostPathVolumeSource"]["properties"]["type"]
    assert kind["enum"][:2] == ["", "BlockDevice"]
    modes = found["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"]["accessModes"]
    assert modes["items"]["enum"][0] == "ReadOnlyMany"
    assert "enum" not in modes
