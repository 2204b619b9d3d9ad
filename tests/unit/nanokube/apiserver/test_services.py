"""Services own addresses and ports; the server owns two Services. Discovery, health, metrics."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest

from nanokube.apiserver.registry.allocator import Allocator, Full, for_network
from tests.unit.nanokube.apiserver.conftest import Api

SERVICES = "/api/v1/namespaces/default/services"


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def test_the_server_makes_its_own_objects(api: Api) -> None:
    names = [o["metadata"]["name"] for o in (await api("GET", "/api/v1/namespaces")).json["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    own = (await api("GET", f"{SERVICES}/kubernetes")).json
    assert own["spec"]["clusterIP"] == "10.96.0.1"
    dns = (await api("GET", "/api/v1/namespaces/kube-system/services/kube-dns")).json
    assert (dns["spec"]["clusterIP"], "selector" in dns["spec"]) == ("10.96.0.10", False)
    slices = (await api("GET", "/apis/discovery.k8s.io/v1/endpointslices")).json["items"]
    assert slices[0]["endpoints"][0]["addresses"] == ["192.0.2.1"]


async def test_addresses_and_ports_are_allocated_and_released(api: Api) -> None:
    made = (await api("POST", SERVICES, service("a", type="NodePort"))).json["spec"]
    assert made["clusterIP"].startswith("10.96.")
    assert made["clusterIPs"] == [made["clusterIP"]]
    assert 30000 <= made["ports"][0]["nodePort"] <= 32767
    same = service("b", clusterIP=made["clusterIP"])
    taken = await api("POST", SERVICES, same)
    assert taken.code == 422
    assert "provided IP is already allocated" in taken.json["message"]
    await api("DELETE", f"{SERVICES}/a")
    assert (await api("POST", SERVICES, same)).code == 201


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"clusterIP": "10.1.1.1"}, "the provided network does not match the current range"),
        ({"clusterIP": "10.96.0.1"}, "provided IP is already allocated"),
        (
            {"ports": [{"port": 1, "nodePort": 80}], "type": "NodePort"},
            "The range of valid ports is 30000-32767",
        ),
        ({"ipFamilyPolicy": "RequireDualStack"}, "this cluster is not configured for dual-stack services"),
        ({"ipFamilies": ["IPv6"]}, "not configured on this cluster"),
        ({"ipFamilyPolicy": ""}, 'spec.ipFamilyPolicy: Unsupported value: "": supported values: '),
    ],
)
async def test_refused_services_take_nothing(api: Api, spec: dict[str, Any], message: str) -> None:
    reply = await api("POST", SERVICES, service("a", **spec))
    assert reply.code == 422
    assert message in reply.json["message"]
    assert (await api("GET", f"{SERVICES}/a")).code == 404


async def test_headless_and_external_services_own_nothing(api: Api) -> None:
    headless = (await api("POST", SERVICES, service("h", clusterIP="None"))).json["spec"]
    assert headless["clusterIPs"] == ["None"]
    named = service("e", type="ExternalName", externalName="example.com")
    assert "clusterIP" not in (await api("POST", SERVICES, named)).json["spec"]


async def test_changing_the_type_allocates_and_releases(api: Api) -> None:
    merge = "application/merge-patch+json"
    ip = (await api("POST", SERVICES, service("a", type="NodePort"))).json["spec"]["clusterIP"]
    plain = (await api("PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}}, content_type=merge)).json
    assert plain["spec"]["clusterIP"] == ip
    assert "nodePort" not in plain["spec"]["ports"][0]
    external = {"spec": {"type": "ExternalName", "externalName": "example.com"}}
    gone = (await api("PATCH", f"{SERVICES}/a", external, content_type=merge)).json
    assert "clusterIP" not in gone["spec"]
    back = {"spec": {"type": "ClusterIP", "externalName": None}}
    again = (await api("PATCH", f"{SERVICES}/a", back, content_type=merge)).json
    assert again["spec"]["clusterIP"].startswith("10.96.")


async def test_a_put_makes_what_is_not_there(api: Api) -> None:
    made = await api("PUT", f"{SERVICES}/a", service("a"))
    assert (made.code, made.json["spec"]["ipFamilies"]) == (201, ["IPv4"])
    assert (await api("PUT", f"{SERVICES}/a", service("a", type="NodePort"))).code == 200


async def test_a_dry_run_allocates_nothing(api: Api) -> None:
    wanted = service("a", clusterIP="10.96.9.9")
    assert (await api("POST", f"{SERVICES}?dryRun=All", wanted)).code == 201
    assert (await api("POST", SERVICES, wanted)).code == 201


def test_automatic_choices_leave_the_lower_band_for_last() -> None:
    pool = Allocator(1, 6, 2, lambda size: 0)
    assert [pool.take_any() for _ in range(6)] == [3, 4, 5, 6, 1, 2]
    with pytest.raises(Full):
        pool.take_any()


@pytest.mark.parametrize(
    ("cidr", "first", "count"), [("10.0.0.0/29", "10.0.0.1", 6), ("fd00::/125", "fd00::1", 7)]
)
def test_a_network_gives_all_but_its_ends(cidr: str, first: str, count: int) -> None:
    pool = for_network(cidr, lambda size: 0)
    given = [pool.take_any() for _ in range(count)]
    assert str(ipaddress.ip_address(min(given))) == first
    with pytest.raises(Full):
        pool.take_any()


async def test_discovery_is_served_in_both_forms(api: Api) -> None:
    v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    reply = await api("GET", "/apis", headers={"accept": f"{v2},application/json"})
    assert reply.json["kind"] == "APIGroupDiscoveryList"
    assert reply.content_type == v2
    etag = reply.headers.get("etag")
    assert (await api("GET", "/apis", headers={"accept": v2, "if-none-match": etag})).code == 304
    assert (await api("GET", "/apis")).json["kind"] == "APIGroupList"
    assert (await api("GET", "/api")).json["versions"] == ["v1"]
    assert (await api("GET", "/apis/apps")).json["preferredVersion"]["version"] == "v1"
    names = [r["name"] for r in (await api("GET", "/api/v1")).json["resources"]]
    assert {"pods", "pods/log", "pods/binding", "namespaces/finalize"} <= set(names)
    assert (await api("GET", "/apis/none/v1")).code == 404


async def test_health_version_index_and_metrics(api: Api) -> None:
    assert (await api("GET", "/readyz")).body == b"ok"
    verbose = (await api("GET", "/readyz?verbose")).body.decode()
    assert "[+]ping ok" in verbose
    assert (await api("GET", "/livez/etcd")).body == b"ok"
    assert (await api("GET", "/livez/none")).code == 404
    indicators = (await api("GET", "/metrics/slis")).body.decode()
    assert 'kubernetes_healthcheck{name="etcd",type="readyz"} 1.0' in indicators
    assert 'kubernetes_healthchecks_total{name="etcd",status="success",type="livez"} 2.0' in indicators
    assert verbose.endswith("readyz check passed\n")
    version = (await api("GET", "/version")).json
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.0+nanokube")
    assert (version["emulationMinor"], version["minCompatibilityMinor"]) == ("36", "35")
    assert "/apis/apps/v1" in (await api("GET", "/")).json["paths"]
    metrics = (await api("GET", "/metrics")).body.decode()
    assert 'apiserver_request_total{code="200"' in metrics
    assert "apiserver_request_duration_seconds_bucket" in metrics
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0' in metrics  # itself
    assert (await api("GET", "/openid/v1/jwks")).json["keys"][0]["alg"] == "ES256"


async def test_addresses_of_services_are_shown(api: Api) -> None:
    path = "/apis/networking.k8s.io/v1/ipaddresses"
    services = "/api/v1/namespaces/default/services"
    body = {"metadata": {"name": "shown"}, "spec": {"ports": [{"port": 80}], "clusterIP": "10.96.7.7"}}
    async with asyncio.TaskGroup() as group:
        following = group.create_task(api.server.addresses.run())
        assert (await api("POST", services, body)).code == 201
        await asyncio.sleep(0.05)
        ref = (await api("GET", f"{path}/10.96.7.7")).json["spec"]["parentRef"]
        assert ref == {"resource": "services", "namespace": "default", "name": "shown"}
        ref = (await api("GET", f"{path}/10.96.0.1")).json["spec"]["parentRef"]
        assert ref["name"] == "kubernetes"
        await api("DELETE", f"{services}/shown")
        await asyncio.sleep(0.05)
        assert (await api("GET", f"{path}/10.96.7.7")).code == 404
        following.cancel()


async def test_a_local_balancer_has_a_port_for_its_health_check(api: Api) -> None:
    local = service("a", type="LoadBalancer", externalTrafficPolicy="Local")
    made = (await api("POST", SERVICES, local)).json["spec"]
    port = made["healthCheckNodePort"]
    assert 30000 <= port <= 32767
    assert port != made["ports"][0]["nodePort"]
    same = service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    assert "provided port is already allocated" in (await api("POST", SERVICES, same)).json["message"]
    patch = {"spec": {"externalTrafficPolicy": "Cluster"}}
    changed = await api("PATCH", f"{SERVICES}/a", patch, content_type="application/merge-patch+json")
    assert "healthCheckNodePort" not in changed.json["spec"]
    assert (await api("POST", SERVICES, same)).code == 201


async def test_a_service_with_external_addresses_keeps_its_policy_until_they_go(api: Api) -> None:
    spec = {"ports": [{"port": 80}], "externalIPs": ["192.0.2.9"]}
    made = await api("POST", SERVICES, {"metadata": {"name": "e"}, "spec": spec})
    assert made.json["spec"]["externalTrafficPolicy"] == "Cluster"
    merge = {"content_type": "application/merge-patch+json"}
    labelled = await api("PATCH", f"{SERVICES}/e", {"metadata": {"labels": {"a": "b"}}}, **merge)
    assert (labelled.code, labelled.json["spec"]["externalTrafficPolicy"]) == (200, "Cluster")
    closed = await api("PATCH", f"{SERVICES}/e", {"spec": {"externalIPs": None}}, **merge)
    assert "externalTrafficPolicy" not in closed.json["spec"]


async def test_requests_are_counted_under_upstreams_labels(api: Api) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    await api("POST", maps, {"metadata": {"name": "a"}})
    await api("GET", maps)
    lines = (await api("GET", "/metrics")).body.decode().splitlines()
    about = 'component="apiserver",dry_run="",group="",resource="configmaps",scope="{}",subresource=""'
    made = about.format("resource") + ',system_client="",verb="POST",version="v1"} 1.0'
    assert f'apiserver_request_total{{code="201",{made}' in lines
    listed = about.format("namespace").replace(',dry_run=""', "") + ',verb="LIST",version="v1"} 1.0'
    assert f"apiserver_request_sli_duration_seconds_count{{{listed}" in lines
    bounds = [line for line in lines if line.startswith("apiserver_request_sli_duration_seconds_bucket")]
    assert any('le="1"' in line for line in bounds)
