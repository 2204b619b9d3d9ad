"""Security contexts of Pods."""

from typing import Any

import pytest

from nanokube.api.validation import security


@pytest.mark.parametrize(
    ("spec", "places"),
    [
        ({}, []),
        ({"hostNetwork": True}, ["spec.hostNetwork"]),
        ({"hostPID": True, "hostIPC": True}, ["spec.HostPID", "spec.HostIPC"]),
        ({"containers": [{}, {"volumeDevices": [{"name": "d"}]}]}, ["spec.containers[1].volumeDevices"]),
    ],
)
def test_own_users_exclude_the_nodes_other_namespaces(spec: dict[str, Any], places: list[str]) -> None:
    found = security.own_users({**spec, "hostUsers": False}, "spec")
    assert [error.path for error in found] == places
    assert security.validate_pod({**spec, "hostUsers": True}, "spec.securityContext") == []
