"""Definitions of the OpenAPI documents."""

from __future__ import annotations

from nanokube.api.openapi import schemas


def test_only_structs_by_value_default_to_empty() -> None:
    found = schemas.v3(["io.k8s.api.apps.v1.DaemonSet"])
    daemon_set = found["io.k8s.api.apps.v1.DaemonSetSpec"]["properties"]
    assert daemon_set["template"]["default"] == {}
    assert "default" not in daemon_set["selector"]  # a pointer, and demanded
    condition = found["io.k8s.api.apps.v1.DaemonSetCondition"]["properties"]
    assert "default" not in condition["lastTransitionTime"]  # a text
