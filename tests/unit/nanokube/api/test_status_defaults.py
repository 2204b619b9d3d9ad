"""Defaults of a write of the status alone."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import defaults, resources


@pytest.mark.parametrize("status", [{}, {"status": None}])
def test_a_status_of_a_pod_is_filled_in_and_its_spec_left(status: dict[str, Any]) -> None:
    spec = {"containers": [{"name": "c"}]}
    pod = {"spec": spec, **status}
    defaults.apply_to_status(resources.get("pods"), pod)
    assert pod == {"spec": {"containers": [{"name": "c"}]}, "status": {}}


def test_a_status_of_a_pod_gets_the_structs_that_go_writes() -> None:
    given = {"containerStatuses": [{"name": "c"}]}
    whole: dict[str, Any] = {"metadata": {}, "spec": {"containers": []}, "status": {**given}}
    defaults.apply(resources.get("pods"), whole)
    pod: dict[str, Any] = {"spec": {"containers": []}, "status": {"containerStatuses": [{"name": "c"}]}}
    defaults.apply_to_status(resources.get("pods"), pod)
    assert pod["status"] == whole["status"]


def test_a_status_of_another_kind_gets_what_the_kind_has() -> None:
    namespace: dict[str, Any] = {"metadata": {"name": "n"}}
    expected: dict[str, Any] = {"metadata": {"name": "n"}}
    defaults.apply(resources.get("namespaces"), expected)
    defaults.apply_to_status(resources.get("namespaces"), namespace)
    assert namespace == expected
