"""What Services become as elements, and how changes stay small."""

from typing import Any

import pytest

from nanokube.proxy import forwards, ruleset, table


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP", "name": "http", "nodePort": spec.pop("nodePort", 0)}]
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.20", "ports": ports, **spec},
    }


def endpoint(ip: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "conditions": conditions, "nodeName": "n1" if ip.endswith("1") else "n2"}


def slice_of(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def chosen(spec: dict[str, Any], *endpoints: dict[str, Any]) -> list[str]:
    (forward,) = forwards.of_service(spec, [slice_of(*endpoints)], "n1")
    return [each.ip for each in forward.endpoints]


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([endpoint("10.0.0.2", ready=True), endpoint("10.0.0.1", ready=True)], ["10.0.0.1", "10.0.0.2"]),
        ([endpoint("10.0.0.1", ready=False), endpoint("10.0.0.2")], ["10.0.0.2"]),
        (
            [
                endpoint("10.0.0.1", ready=False, serving=True, terminating=True),
                endpoint("10.0.0.2", ready=True),
            ],
            ["10.0.0.2"],
        ),
        ([endpoint("10.0.0.1", ready=False, serving=True, terminating=True)], ["10.0.0.1"]),
        ([endpoint("10.0.0.1", ready=False, serving=False, terminating=True)], []),
        ([endpoint("127.0.0.1", ready=True), endpoint("169.254.169.254", ready=True)], []),
    ],
)
def test_ready_endpoints_serve_and_terminating_ones_only_as_the_last(
    endpoints: list[dict[str, Any]], expected: list[str]
) -> None:
    assert chosen(service(), *endpoints) == expected


def test_local_traffic_policy_keeps_to_this_node() -> None:
    ready = [endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=True)]
    assert chosen(service(internalTrafficPolicy="Local"), *ready) == ["10.0.0.1"]


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"clusterIP": ""}, {"type": "ExternalName"}])
def test_services_without_an_address_need_nothing(spec: dict[str, Any]) -> None:
    assert forwards.of_service(service(**spec), [], "n1") == ()


def elements(*endpoints: dict[str, Any], **spec: Any) -> dict[tuple[str, str], str]:
    return ruleset.elements(forwards.of_service(service(**spec), [slice_of(*endpoints)], "n1"))


def test_every_endpoint_has_a_slot() -> None:
    found = elements(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=True))
    assert found[("services", "10.96.0.20 . tcp . 80")] == hex(ruleset.COUNT_BASE + 2)
    assert found[("endpoints", "10.96.0.20 . tcp . 80 . 0x4e4a0001")] == "10.0.0.2 . 8080"
    assert ("rejected", "10.96.0.20 . tcp . 80") not in found


def test_a_service_without_endpoints_is_refused() -> None:
    assert elements(nodePort=30080) == {
        ("rejected", "10.96.0.20 . tcp . 80"): "",
        ("rejected-node-ports", "tcp . 30080"): "",
    }


@pytest.mark.parametrize("count", [1, 32, 33, 100, 1000])
def test_no_endpoint_gets_a_quarter_more_than_another(count: int) -> None:
    ready = [endpoint(f"10.1.{i // 250}.{i % 250}", ready=True) for i in range(count)]
    shares: dict[str, int] = {}
    for (name, _key), value in elements(*ready).items():
        if name == "endpoints":
            shares[value] = shares.get(value, 0) + 1
    assert len(shares) == count
    assert max(shares.values()) <= 1.25 * min(shares.values())


def test_a_change_of_one_endpoint_touches_its_elements_only() -> None:
    held = table.Table()
    held.replace("default/web", elements(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=True)))
    changed = held.replace(
        "default/web", elements(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.3", ready=True))
    )
    assert sorted(changed.splitlines()) == [
        "add element ip nanokube endpoints { 10.96.0.20 . tcp . 80 . 0x4e4a0001 : 10.0.0.3 . 8080 }",
        "add element ip nanokube hairpin { 10.0.0.3 . 10.0.0.3 }",
        "delete element ip nanokube endpoints { 10.96.0.20 . tcp . 80 . 0x4e4a0001 }",
        "delete element ip nanokube hairpin { 10.0.0.2 . 10.0.0.2 }",
    ]


def test_an_element_that_two_services_own_goes_with_the_last() -> None:
    held = table.Table()
    shared = {("hairpin", "10.0.0.1 . 10.0.0.1"): ""}
    assert held.replace("a/a", shared) != ""
    assert held.replace("b/b", shared) == ""
    assert held.replace("a/a", {}) == ""
    assert held.replace("b/b", {}).startswith("delete element")
    assert held.everything() == table.Table().everything()
