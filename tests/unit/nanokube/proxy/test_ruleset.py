"""What Services become as elements, and how changes stay small."""

from typing import Any

import pytest

from nanokube.proxy import forwards, ruleset, table

HERE = forwards.Here("n1", "zone-a")


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
    forward = forwards.of_service(spec, [slice_of(*endpoints)], HERE).forwards[0]
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
    assert forwards.of_service(service(**spec), [], HERE) == forwards.NOTHING


def elements(*endpoints: dict[str, Any], **spec: Any) -> dict[tuple[str, str], str]:
    return ruleset.elements(forwards.of_service(service(**spec), [slice_of(*endpoints)], HERE))


def test_every_endpoint_has_a_slot() -> None:
    found = elements(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=True))
    assert found[("services", "10.96.0.20 . tcp . 80")] == hex(ruleset.COUNT_BASE + 2)
    assert found[("endpoints", "10.96.0.20 . tcp . 80 . 0x4e480001")] == "10.0.0.2 . 8080"
    assert ("rejected", "10.96.0.20 . tcp . 80") not in found


def test_a_service_without_endpoints_is_refused() -> None:
    assert elements(nodePort=30080) == {
        ("rejected", "10.96.0.20 . tcp . 80"): "",
        ("rejected-node-ports", "tcp . 30080"): "",
        ("masked-node-ports", "tcp . 30080"): "",
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
    assert sorted(line for line in changed.splitlines() if " local " not in line) == [
        "add element inet nanokube endpoints { 10.96.0.20 . tcp . 80 . 0x4e480001 : 10.0.0.3 . 8080 }",
        "add element inet nanokube hairpin { 10.0.0.3 . 10.0.0.3 }",
        "delete element inet nanokube endpoints { 10.96.0.20 . tcp . 80 . 0x4e480001 }",
        "delete element inet nanokube hairpin { 10.0.0.2 . 10.0.0.2 }",
    ]


def test_an_element_that_two_services_own_goes_with_the_last() -> None:
    held = table.Table()
    shared = {("hairpin", "10.0.0.1 . 10.0.0.1"): ""}
    assert held.replace("a/a", shared) != ""
    assert held.replace("b/b", shared) == ""
    assert held.replace("a/a", {}) == ""
    assert held.replace("b/b", {}).startswith("delete element")
    assert held.everything() == table.Table().everything()


def outside(spec: dict[str, Any], *endpoints: dict[str, Any]) -> forwards.Forward:
    found = forwards.of_service(spec, [slice_of(*endpoints)], HERE).forwards
    return next(each for each in found if each.ip == "")


def test_the_external_policy_local_binds_only_those_from_outside() -> None:
    ready = [endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=True)]
    found = outside(service(nodePort=30080, externalTrafficPolicy="Local"), *ready)
    assert [each.ip for each in found.endpoints] == ["10.0.0.1"]
    assert found.inside is not None
    assert [each.ip for each in found.inside] == ["10.0.0.1", "10.0.0.2"]
    assert not found.is_masqueraded
    assert outside(service(nodePort=30080), *ready).is_masqueraded


def test_a_node_without_local_endpoints_is_silent_to_those_from_outside() -> None:
    spec = {"nodePort": 30080, "externalTrafficPolicy": "Local"}
    found = elements(endpoint("10.0.0.2", ready=True), **spec)
    assert ("silent-node-ports", "tcp . 30080") in found
    assert ("inside-node-ports", "tcp . 30080") in found
    assert ("rejected-node-ports", "tcp . 30080") in elements(**spec), "nobody anywhere: all should know"


def test_balanced_addresses_are_guarded_and_virtual() -> None:
    balanced = service(type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24", "198.51.100.7/32"])
    balanced["status"] = {
        "loadBalancer": {"ingress": [{"ip": "192.0.2.200", "ipMode": "VIP"}, {"ip": "x", "ipMode": "Proxy"}]}
    }
    found = ruleset.elements(
        forwards.of_service(balanced, [slice_of(endpoint("10.0.0.1", ready=True))], HERE)
    )
    assert ("allowed", "192.0.2.200 . tcp . 80 . 198.51.100.0/24") in found
    assert len([key for name, key in found if name == "allowed"]) == 1, "ranges inside others are merged"
    assert ("vips", "192.0.2.200") in found
    assert ("masked", "192.0.2.200 . tcp . 80") in found
    assert found["services", "192.0.2.200 . tcp . 80"] == hex(ruleset.COUNT_BASE + 1)
    assert not any("x ." in key for _name, key in found)


def test_both_families_of_a_service_are_served_by_their_own_endpoints() -> None:
    six = {**slice_of({"addresses": ["fd00::2"], "conditions": {"ready": True}}), "addressType": "IPv6"}
    both = service(clusterIPs=["10.96.0.20", "fd01::20"], nodePort=30080)
    found = ruleset.elements(
        forwards.of_service(both, [slice_of(endpoint("10.0.0.1", ready=True)), six], HERE)
    )
    assert found["endpoints", "10.96.0.20 . tcp . 80 . 0x4e480000"] == "10.0.0.1 . 8080"
    assert found["endpoints6", "fd01::20 . tcp . 80 . 0x4e480000"] == "fd00::2 . 8080"
    assert {"node-ports", "node-ports6"} <= {name for name, _key in found}


def hinted(ip: str, *zones: str, nodes: tuple[str, ...] = ()) -> dict[str, Any]:
    hints = {"forZones": [{"name": each} for each in zones], "forNodes": [{"name": each} for each in nodes]}
    return {**endpoint(ip, ready=True), "hints": hints}


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([hinted("10.0.0.1", "zone-a"), hinted("10.0.0.2", "zone-b")], ["10.0.0.1"]),
        ([hinted("10.0.0.1", "zone-b"), hinted("10.0.0.2", "zone-b")], ["10.0.0.1", "10.0.0.2"]),
        ([hinted("10.0.0.1", "zone-a"), endpoint("10.0.0.2", ready=True)], ["10.0.0.1", "10.0.0.2"]),
        (
            [hinted("10.0.0.1", "zone-a", nodes=("n1",)), hinted("10.0.0.2", "zone-a", nodes=("n2",))],
            ["10.0.0.1"],
        ),
        (
            [hinted("10.0.0.1", "zone-a", nodes=("n3",)), hinted("10.0.0.2", "zone-b", nodes=("n2",))],
            ["10.0.0.1"],
        ),
    ],
)
def test_traffic_keeps_to_the_node_or_zone_it_is_meant_for(
    endpoints: list[dict[str, Any]], expected: list[str]
) -> None:
    assert chosen(service(), *endpoints) == expected


def test_a_sticky_client_is_remembered_for_the_service_s_time() -> None:
    sticky = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90}}}
    found = elements(endpoint("10.0.0.1", ready=True), **sticky)
    assert found["timeouts", "10.96.0.20 . tcp . 80"] == "goto remember-90"
    assert found["services", "10.96.0.20 . tcp . 80"] == hex(ruleset.COUNT_BASE + ruleset.STICKY + 1)
    assert "add chain inet nanokube remember-90" in ruleset.changes({}, found)
