"""Which EndpointSlices a Service has: by family, and with hints for those near."""

from typing import Any

import pytest

from nanokube.controllers import endpoints, endpointslice

NODES: dict[str, Any] = {
    "n1": {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}},
    "n2": {"metadata": {"name": "n2"}},
}


def service(**spec: Any) -> dict[str, Any]:
    annotations = spec.pop("annotations", {})
    return {
        "metadata": {"name": "web", "namespace": "d", "uid": "s", "annotations": annotations},
        "spec": {"ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}], **spec},
        "kind": "Service",
        "apiVersion": "v1",
    }


def pod(name: str, *ips: str, node: str = "n1", is_ready: bool = True) -> dict[str, Any]:
    status = "True" if is_ready else "False"
    return {
        "metadata": {"name": name, "namespace": "d", "uid": name},
        "spec": {"nodeName": node, "containers": []},
        "status": {
            "phase": "Running",
            "podIP": ips[0],
            "podIPs": [{"ip": ip} for ip in ips],
            "conditions": [{"type": "Ready", "status": status}],
        },
    }


DUAL = pod("a", "10.244.0.5", "fd00::5")
ONLY_V4 = pod("b", "10.244.0.6")


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (["IPv4"], {"IPv4": ["10.244.0.5", "10.244.0.6"]}),
        (["IPv6"], {"IPv6": ["fd00::5"]}),
        (["IPv4", "IPv6"], {"IPv4": ["10.244.0.5", "10.244.0.6"], "IPv6": ["fd00::5"]}),
    ],
)
def test_each_family_has_a_slice_of_its_own(families: list[str], expected: dict[str, list[str]]) -> None:
    todo = endpointslice.plan(service(ipFamilies=families), [DUAL, ONLY_V4], NODES, [])
    found = {s["addressType"]: [e["addresses"][0] for e in s["endpoints"]] for s in todo.create}
    assert found == expected


def test_a_family_that_went_takes_its_slice_along() -> None:
    made = endpointslice.plan(service(ipFamilies=["IPv4", "IPv6"]), [DUAL], NODES, []).create
    todo = endpointslice.plan(service(ipFamilies=["IPv4"]), [DUAL], NODES, made)
    assert ([s["addressType"] for s in todo.delete], todo.create, todo.update) == (["IPv6"], [], [])


def test_a_family_without_endpoints_has_an_empty_slice() -> None:
    todo = endpointslice.plan(service(ipFamilies=["IPv4", "IPv6"]), [ONLY_V4], NODES, [])
    assert {s["addressType"]: len(s["endpoints"]) for s in todo.create} == {"IPv4": 1, "IPv6": 0}


def test_endpoints_are_of_the_first_family() -> None:
    found = endpoints.subsets(service(ipFamilies=["IPv6", "IPv4"]), [DUAL, ONLY_V4])
    assert [a["ip"] for subset in found for a in subset["addresses"]] == ["fd00::5"]


ZONE, NODE = {"forZones": [{"name": "z1"}]}, {"forNodes": [{"name": "n1"}]}


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        ({}, DUAL, None),
        ({"trafficDistribution": "PreferClose"}, DUAL, ZONE),
        ({"trafficDistribution": "PreferSameZone"}, DUAL, ZONE),
        ({"trafficDistribution": "PreferSameNode"}, DUAL, ZONE | NODE),
        ({"trafficDistribution": "PreferSameZone"}, pod("a", "10.244.0.5", node="n2"), None),
        (
            {"trafficDistribution": "PreferSameNode"},
            pod("a", "10.244.0.5", node="n2"),
            {"forNodes": [{"name": "n2"}]},
        ),
        ({"trafficDistribution": "PreferSameZone"}, pod("a", "10.244.0.5", is_ready=False), None),
        (
            {
                "trafficDistribution": "PreferSameZone",
                "annotations": {"service.kubernetes.io/topology-mode": "Auto"},
            },
            DUAL,
            None,
        ),
    ],
)
def test_hints_name_those_who_are_near(
    asked: dict[str, Any], given: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    (made,) = endpointslice.plan(service(**asked), [given], NODES, []).create
    assert made["endpoints"][0].get("hints") == expected


def test_hints_go_with_the_wish() -> None:
    made = endpointslice.plan(service(trafficDistribution="PreferSameZone"), [DUAL], NODES, []).create
    (changed,) = endpointslice.plan(service(), [DUAL], NODES, made).update
    assert "hints" not in changed["endpoints"][0]
