"""Where connect subresources lead: containers, kubelets, paths, proxy targets."""

from collections.abc import Mapping
from typing import Any

import pytest

from nanokube.api.errors import ApiError
from nanokube.apiserver.subresources import location, proxy_target
from nanokube.apiserver.subresources.location import Address
from nanokube.apiserver.subresources.proxy_target import Target, Wanted


def pod(*containers: str, ip: str = "10.244.0.5", **spec: Any) -> Mapping[str, Any]:
    entries = [{"name": name, "ports": [{"containerPort": 8080}]} for name in containers]
    return {
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": entries, **spec},
        "status": {"podIP": ip},
    }


def test_the_only_container_is_meant_when_none_is_named() -> None:
    assert location.container(pod("a", initContainers=[{"name": "i"}]), "") == "a"
    assert location.container(pod("a", "b"), "b") == "b"


@pytest.mark.parametrize(
    ("of", "asked", "message"),
    [
        (pod("a", "b"), "", "a container name must be specified for pod p, choose one of: [a b]"),
        (
            pod("a", "b", initContainers=[{"name": "i"}]),
            "",
            "a container name must be specified for pod p, choose one of: [i a b]",
        ),
        (pod("a"), "x", "container x is not valid for pod p"),
    ],
)
def test_containers_that_cannot_be_told(of: Mapping[str, Any], asked: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        location.container(of, asked)
    assert (caught.value.code, caught.value.message) == (400, message)


def test_a_pod_without_node_cannot_be_entered() -> None:
    with pytest.raises(ApiError, match="pod p does not have a host assigned"):
        location.require_node(pod("a"))


def test_a_kubelet_is_found_by_its_internal_address() -> None:
    addresses = [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.1"}]
    node = {"metadata": {"name": "n1"}, "status": {"addresses": addresses}}
    assert location.kubelet(node) == Address("192.0.2.1", 10250)
    with pytest.raises(ApiError, match="no preferred addresses"):
        location.kubelet({"metadata": {"name": "n1"}})


def test_parameters_take_the_kubelets_names() -> None:
    query = (("command", "sh"), ("command", "-c"), ("stdin", "true"), ("stdout", "1"), ("tty", "false"))
    target = location.stream_target("exec", pod("a"), "a", query)
    assert target == "/exec/d/p/a?input=1&output=1&command=sh&command=-c"
    assert location.forward_target(pod("a"), (("ports", "80,81"),)) == "/portForward/d/p?port=80%2C81"
    assert location.log_target(pod("a"), "a", (("follow", "true"), ("tailLines", "0"))) == (
        "/containerLogs/d/p/a?follow=true&tailLines=0&stream=All"
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ((("tailLines", "x"),), 400),
        ((("limitBytes", "0"),), 422),
        ((("sinceSeconds", "5"), ("sinceTime", "2026-01-01T00:00:00Z")), 422),
        ((("stream", "stdin"),), 422),
    ],
)
def test_log_options_out_of_range(query: tuple[tuple[str, str], ...], code: int) -> None:
    with pytest.raises(ApiError) as caught:
        location.check_log_options("p", query)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("p", Wanted("", "p", "")),
        ("p:80", Wanted("", "p", "80")),
        ("https:p:443", Wanted("https", "p", "443")),
        (":p:http", Wanted("", "p", "http")),
    ],
)
def test_proxy_names_come_apart(text: str, wanted: Wanted) -> None:
    assert proxy_target.split(text) == wanted


def test_a_pods_first_port_is_the_default() -> None:
    assert proxy_target.of_pod(pod("a"), Wanted("", "p", "")) == Target(Address("10.244.0.5", 8080), False)


@pytest.mark.parametrize(
    "ip", ["", "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "::1", "localhost"]
)
def test_no_proxying_to_what_only_this_host_answers(ip: str) -> None:
    with pytest.raises(ApiError, match="address not allowed"):
        proxy_target.of_pod(pod("a", ip=ip), Wanted("", "p", ""))


SERVICE = {"spec": {"ports": [{"name": "web", "port": 80}, {"name": "admin", "port": 81}]}}
SLICE = {
    "ports": [{"name": "web", "port": 8080}, {"name": "admin", "port": 8081}],
    "endpoints": [
        {"addresses": ["10.244.0.5"], "conditions": {"ready": True}},
        {"addresses": ["10.244.0.6"], "conditions": {"ready": False}},
    ],
}


@pytest.mark.parametrize(("port", "found"), [("web", 8080), ("80", 8080), ("admin", 8081)])
def test_a_services_port_leads_to_ready_endpoints(port: str, found: int) -> None:
    targets = proxy_target.of_service(SERVICE, [SLICE], Wanted("", "s", port))
    assert targets == [Target(Address("10.244.0.5", found), False)]


def test_a_services_port_must_exist() -> None:
    with pytest.raises(ApiError, match="no service port"):
        proxy_target.of_service(SERVICE, [SLICE], Wanted("", "s", "99"))


def test_credentials_and_hop_fields_stay_here() -> None:
    fields = [
        ("authorization", "Bearer x"), ("connection", "close"), ("x-remote-user", "root"), ("accept", "*/*"),
        ("impersonate-user", "a"), ("x-forwarded-for", "192.0.2.7"),
    ]  # fmt: skip
    assert proxy_target.request_fields(fields, "192.0.2.9") == [
        ("accept", "*/*"), ("X-Forwarded-For", "192.0.2.7, 192.0.2.9"),
    ]  # fmt: skip


def test_a_redirect_to_the_same_server_is_led_back_through_the_proxy() -> None:
    raw = "/api/v1/namespaces/d/pods/p/proxy/a/b"
    before = proxy_target.prefix(raw, "/a/b")
    assert before == "/api/v1/namespaces/d/pods/p/proxy"
    address = Address("10.244.0.5", 80)
    for location_, led in (("/x?y=1", before + "/x?y=1"), ("http://other/x", "http://other/x")):
        assert proxy_target.answer_fields([("location", location_)], address, before) == [("location", led)]


def test_a_url_that_names_the_proxy_already_is_left_alone() -> None:
    before, address = "/api/v1/namespaces/d/pods/p/proxy", Address("10.244.0.5", 80)
    for url, led in (
        (before + "/x", before + "/x"),
        ("/x#y", before + "/x#y"),
        ("http://10.244.0.5:80/", before + "/"),
        ("http://[::1", "http://[::1"),
    ):
        assert proxy_target.relocate(url, address, before) == led


def test_what_a_pod_permits_other_origins_stays_here() -> None:
    fields = [("access-control-allow-origin", "*"), ("x", "y")]
    assert proxy_target.answer_fields(fields, Address("10.244.0.5", 80), "/p") == [("x", "y")]


def test_paths() -> None:
    assert proxy_target.path("GET", "/…/proxy", "") is None
    assert proxy_target.path("POST", "/…/proxy", "") == "/"
    assert proxy_target.path("GET", "/…/proxy/", "") == "/"
    assert proxy_target.path("GET", "/…/proxy/a%20b", "a b") == "/a%20b"
    assert proxy_target.with_slash("/proxy?x=1") == "/proxy/?x=1"
    assert {proxy_target.prefix(raw, "/") for raw in ("/…/proxy", "/…/proxy/")} == {"/…/proxy"}
