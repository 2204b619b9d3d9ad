"""What a Service says of the server behind it."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.aggregator import availability, table
from nanokube.apiserver.aggregator.availability import PASSED, Verdict

REMOTE = table.read(
    {
        "metadata": {"name": "v1.g.example", "uid": "u"},
        "spec": {
            "group": "g.example",
            "version": "v1",
            "service": {"namespace": "ns", "name": "api", "port": 8443},
            "groupPriorityMinimum": 1,
            "versionPriority": 1,
        },
    }
)
WHERE = 'service/api in "ns"'


def service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"type": "ClusterIP", "ports": [{"port": 8443, "name": "https"}], **spec}}


def slice_of(port: str = "https", **conditions: bool) -> dict[str, Any]:
    return {
        "ports": [{"name": port, "port": 1}],
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": conditions}],
    }


@pytest.mark.parametrize(
    ("found", "slices", "reason", "message"),
    [
        (None, [], "ServiceNotFound", f"{WHERE} is not present"),
        (service(ports=[{"port": 1}]), [], "ServicePortError", f"{WHERE} is not listening on port 8443"),
        (service(), [], "EndpointsNotFound", f"cannot find endpointslices for {WHERE}"),
        (
            service(),
            [slice_of(ready=False), slice_of("other")],
            "MissingEndpoints",
            f'endpointslices for {WHERE} have no addresses with port name "https"',
        ),
        (service(), [slice_of(ready=False), slice_of()], "", ""),
        (service(type="ExternalName", ports=None), [], "", ""),
    ],
)
def test_reasons(found: Any, slices: Any, reason: str, message: str) -> None:
    assert REMOTE is not None
    verdict = availability.of_service(REMOTE, found, slices)
    assert verdict == (Verdict(False, reason, message) if reason else None)


def test_the_time_is_that_of_the_change_of_status() -> None:
    first = availability.say({}, PASSED, "1")
    lost = availability.say(first, availability.failed("a"), "2")
    still = availability.say(lost, availability.failed("b"), "3")
    assert availability.is_said(still, availability.failed("b"))
    assert not availability.is_said(still, PASSED)
    [condition] = still["status"]["conditions"]
    assert (condition["lastTransitionTime"], condition["message"]) == ("2", "b")


def test_core_and_the_group_of_api_services_stay_here() -> None:
    found = table.Table()
    where = {"namespace": "a", "name": "b"}
    for group, version in (("", "v1"), ("apiregistration.k8s.io", "v1"), ("apps", "v1")):
        spec = {"group": group, "version": version, "service": where}
        found.load([{"metadata": {"name": f"{version}.{group}"}, "spec": spec}])
    assert [remote.group for remote in found.all()] == ["apps"]
    assert found.find("apps", "v1") is not None
