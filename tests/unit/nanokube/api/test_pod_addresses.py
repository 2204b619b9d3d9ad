"""podIP and podIPs of a Pod's status say the same, whichever was written."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import defaults, resources

A, B = {"ip": "10.0.0.1"}, {"ip": "fd00::1"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"podIP": "10.0.0.1"}, {"podIP": "10.0.0.1", "podIPs": [A]}),
        ({"podIPs": [A, B]}, {"podIP": "10.0.0.1", "podIPs": [A, B]}),
        ({"podIP": "10.0.0.1", "podIPs": [A, B]}, {"podIP": "10.0.0.1", "podIPs": [A, B]}),
        ({"podIP": "10.0.0.9", "podIPs": [A, B]}, {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}]}),
        ({"podIP": "", "podIPs": [B]}, {"podIP": "fd00::1", "podIPs": [B]}),
        ({"podIPs": [{}]}, {"podIPs": [{}]}),
        ({"hostIP": "10.0.0.1"}, {"hostIP": "10.0.0.1"}),
        ({}, {}),
    ],
)
def test_the_single_address_is_the_first_of_all(written: dict[str, Any], kept: dict[str, Any]) -> None:
    pod = {"metadata": {"name": "a"}, "status": written}
    defaults.apply_to_status(resources.get("pods"), pod)
    assert {key: value for key, value in pod["status"].items() if "IP" in key} == kept
