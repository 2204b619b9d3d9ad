"""Services of two families: what is filled in, what is refused; rows are answers of a real v1.36 server."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.apiserver.assemble import assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit.clock import ManualClock
from tests.unit.nanokube.apiserver.conftest import Api, Histories, started_once

SERVICES = "/api/v1/namespaces/default/services"
MERGE = "application/merge-patch+json"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
V4, V6 = "10.96.0.200", "fd00:10:96::200"
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
DUAL = ApiServerConfig(
    advertise_address="192.0.2.1",
    tls_cert=Path(),
    tls_key=Path(),
    client_ca=Path(),
    service_account_public_key=Path(),
    service_account_private_key=Path(),
    service_cidr="10.96.0.0/16,fd00:10:96::/112",
    dns_ip="10.96.0.10,fd00:10:96::a",
)
ONLY_V6 = dataclasses.replace(
    DUAL, service_cidr="fd00:10:96::/112", dns_ip="fd00:10:96::a", advertise_address="2001:db8::1"
)


@pytest.fixture
async def dual(keys: Path, histories: Histories, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    config = dataclasses.replace(
        getattr(request, "param", DUAL),
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
    )
    store, clock = await started_once(config, histories), ManualClock()
    server = await assemble(config, store, clock)
    yield Api(server, store, clock)
    await server.close()
    await store.close()


def service(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}}


def families(spec: dict[str, Any]) -> tuple[list[str], str]:
    kinds = ["None" if ip == "None" else "IPv6" if ":" in ip else "IPv4" for ip in spec["clusterIPs"]]
    assert spec["clusterIP"] == spec["clusterIPs"][0]
    assert kinds in (["None"], spec["ipFamilies"])
    return spec["ipFamilies"], spec["ipFamilyPolicy"]


@pytest.mark.parametrize(
    ("given", "expected", "policy"),
    [
        ({}, ["IPv4"], SINGLE),
        ({"ipFamilyPolicy": PREFER}, ["IPv4", "IPv6"], PREFER),
        ({"ipFamilyPolicy": REQUIRE}, ["IPv4", "IPv6"], REQUIRE),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"], SINGLE),
        ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": PREFER}, ["IPv6", "IPv4"], PREFER),
        ({"clusterIP": V6}, ["IPv6"], SINGLE),
        ({"clusterIP": V6, "ipFamilyPolicy": PREFER}, ["IPv6", "IPv4"], PREFER),
        ({"clusterIP": V6, "clusterIPs": [V6, V4], "ipFamilyPolicy": REQUIRE}, ["IPv6", "IPv4"], REQUIRE),
        ({"clusterIP": "None"}, ["IPv4"], SINGLE),
        ({"clusterIP": "None", "ipFamilyPolicy": PREFER}, ["IPv4", "IPv6"], PREFER),
        ({"clusterIP": "None", "selector": None}, ["IPv4", "IPv6"], REQUIRE),
        ({"clusterIP": "None", "selector": None, "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"], REQUIRE),
        ({"clusterIP": "None", "selector": None, "ipFamilyPolicy": SINGLE}, ["IPv4"], SINGLE),
    ],
)
async def test_what_is_left_open_is_settled(
    dual: Api, given: dict[str, Any], expected: list[str], policy: str
) -> None:
    reply = await dual("POST", SERVICES, service(**given))
    assert reply.code == 201, reply.body
    assert families(reply.json["spec"]) == (expected, policy)


@pytest.mark.parametrize("dual", [ONLY_V6], indirect=True)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["IPv6"]),
        ({"ipFamilyPolicy": PREFER}, ["IPv6"]),
        ({"ipFamilyPolicy": REQUIRE}, "this cluster is not configured for dual-stack services"),
        (
            {"ipFamilies": ["IPv4"]},
            'spec.ipFamilies[0]: Invalid value: "IPv4": not configured on this cluster',
        ),
        ({"clusterIP": V4}, "IPv4 is not configured on this cluster"),
        ({"clusterIP": "None", "selector": None}, ["IPv6", "IPv4"]),
    ],
)
async def test_a_cluster_of_ipv6_has_no_other(dual: Api, given: dict[str, Any], expected: Any) -> None:
    reply = await dual("POST", SERVICES, service(**given))
    if isinstance(expected, str):
        assert expected in reply.json["message"]
        assert reply.code == 422
    else:
        assert families(reply.json["spec"])[0] == expected


MANY = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ipFamilies": ["IPv4", "IPv6"]}, MANY.format("IP families")),
        ({"clusterIP": V4, "clusterIPs": [V4, V6]}, MANY.format("cluster IPs")),
        ({"ipFamilies": ["IPv4", "IPv4"]}, 'spec.ipFamilies[1]: Duplicate value: "IPv4"'),
        ({"clusterIPs": [V4]}, "must be empty when `clusterIP` is not specified"),
        ({"clusterIP": V6, "ipFamilies": ["IPv4"]}, "expected an IPv4 value as indicated by `ipFamilies[0]`"),
        ({"clusterIP": "fd01::1"}, "the provided network does not match the current range"),
        ({"clusterIP": "fd00:10:96::"}, "the provided network does not match the current range"),
        ({"clusterIP": "fd00:10:96::a"}, "provided IP is already allocated"),
        ({"clusterIP": "10.96.00.7"}, "must not have leading 0s"),
    ],
)
async def test_what_does_not_fit_is_refused(dual: Api, given: dict[str, Any], message: str) -> None:
    reply = await dual("POST", SERVICES, service(**given))
    assert reply.code == 422
    assert message in reply.json["message"]


@pytest.mark.parametrize(
    ("given", "change", "expected"),
    [
        ({}, {"ipFamilyPolicy": PREFER}, (["IPv4", "IPv6"], PREFER)),
        ({"ipFamilies": ["IPv6"]}, {"ipFamilyPolicy": REQUIRE}, (["IPv6", "IPv4"], REQUIRE)),
        ({"ipFamilyPolicy": PREFER}, {"ipFamilyPolicy": SINGLE}, (["IPv4"], SINGLE)),
        ({"ipFamilyPolicy": REQUIRE}, {"ipFamilies": None, "clusterIPs": None}, (["IPv4", "IPv6"], REQUIRE)),
        ({"ipFamilyPolicy": REQUIRE}, {"ipFamilies": ["IPv4"]}, "to release the secondary IP family"),
        ({}, {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": REQUIRE}, "expected an IPv6 value"),
        ({"clusterIP": "None"}, {"ipFamilyPolicy": PREFER}, (["IPv4", "IPv6"], PREFER)),
        ({}, {"clusterIP": "None"}, "may not change once set"),
    ],
)
async def test_a_second_family_comes_and_goes(
    dual: Api, given: dict[str, Any], change: dict[str, Any], expected: Any
) -> None:
    made = (await dual("POST", SERVICES, service(**given))).json["spec"]
    reply = await dual("PATCH", f"{SERVICES}/a", {"spec": change}, content_type=MERGE)
    if isinstance(expected, str):
        assert expected in reply.json["message"]
        return
    assert families(reply.json["spec"]) == expected
    assert reply.json["spec"]["clusterIP"] == made["clusterIP"]
    for gone in set(made["clusterIPs"]) - set(reply.json["spec"]["clusterIPs"]):
        again = await dual("POST", SERVICES, service("b", clusterIP=gone))
        assert again.code == 201, "what was released is free"


async def test_the_servers_own_services(dual: Api) -> None:
    own = (await dual("GET", f"{SERVICES}/kubernetes")).json["spec"]
    assert (own["clusterIPs"], families(own)) == (["10.96.0.1"], (["IPv4"], SINGLE))
    dns = (await dual("GET", "/api/v1/namespaces/kube-system/services/kube-dns")).json["spec"]
    assert dns["clusterIPs"] == ["10.96.0.10", "fd00:10:96::a"]
    assert (await dual("GET", f"{CIDRS}/kubernetes")).json["spec"]["cidrs"] == DUAL.service_cidr.split(",")


@pytest.mark.parametrize("dual", [ONLY_V6], indirect=True)
async def test_a_server_of_ipv6_alone_has_a_slice_of_ipv6(dual: Api) -> None:
    own = (await dual("GET", f"{SERVICES}/kubernetes")).json["spec"]
    assert own["clusterIPs"] == ["fd00:10:96::1"]
    found = (await dual("GET", "/apis/discovery.k8s.io/v1/endpointslices")).json["items"][0]
    assert (found["addressType"], found["endpoints"][0]["addresses"]) == ("IPv6", ["2001:db8::1"])
    said = (await dual("GET", "/api")).json["serverAddressByClientCIDRs"][0]
    assert said["serverAddress"] == "[2001:db8::1]:6443"


async def test_a_service_cidr_gives_addresses_while_it_is_ready(dual: Api) -> None:
    cidr = {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/28", "fd00:10:97::/124"]}}
    assert (await dual("POST", CIDRS, cidr)).code == 201
    wanted = service(clusterIP="10.97.0.5", ipFamilyPolicy=REQUIRE)
    refused = await dual("POST", SERVICES, wanted)
    assert "the provided network does not match the current range" in refused.json["message"]
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "", "lastTransitionTime": None}
    ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    status = {"status": {"conditions": [ready]}}
    assert (await dual("PATCH", f"{CIDRS}/more/status", status, content_type=MERGE)).code == 200
    made = await dual("POST", SERVICES, wanted)
    assert (made.code, families(made.json["spec"])) == (201, (["IPv4", "IPv6"], REQUIRE))
    assert (await dual("DELETE", f"{CIDRS}/more")).code == 200
    gone = await dual("POST", SERVICES, service("b", clusterIP="10.97.0.6"))
    assert gone.code == 422
