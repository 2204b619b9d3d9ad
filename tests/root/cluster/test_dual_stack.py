"""One node of two families, and one of IPv6 alone: Pods, Services and names, each over what there is."""

import ipaddress
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host
from tests.root.cluster.conftest import import_demo_image

pytestmark = pytest.mark.root

V4, V6 = host.ADDRESS, "2001:db8::10"
DUAL = (
    "--pod-cidr=10.244.0.0/16,fd00:10:244::/56",
    "--service-cidr=10.96.0.0/16,fd00:10:96::/112",
    f"--node-ip={V4},{V6}",
)


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[host.Host]:
    with host.new(tmp_path_factory.mktemp("dual"), "dual", f"{V4},{V6}") as made:
        made.up(*DUAL)
        import_demo_image(made)
        serve(made)
        yield made
        print(made.logs())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[host.Host]:
    with host.new(tmp_path_factory.mktemp("alone"), "alone", V6) as made:
        made.up()
        import_demo_image(made)
        serve(made)
        yield made
        print(made.logs())


def serve(on: host.Host) -> None:
    """Run a Deployment of two Pods, each answering with its name, and a Pod to ask from."""
    container = {"name": "web", "image": demo_image.REFERENCE}
    asking = {**container, "name": "main", "command": ["sleep", "1000"]}
    web = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }
    ask = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ask"},
        "spec": {"containers": [asking], "terminationGracePeriodSeconds": 0},
    }
    ports = [{"port": 80, "targetPort": demo_image.PORT}]
    common = {"selector": {"app": "web"}, "ports": ports, "ipFamilyPolicy": "PreferDualStack"}
    apply(
        on, web, ask, service("web", type="NodePort", **common), service("bare", clusterIP="None", **common)
    )
    on.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    on.kubectl("wait", "--for=condition=Ready", "pod/ask", "--timeout=50s")


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def apply(on: host.Host, *objects: dict[str, Any]) -> None:
    on.kubectl("apply", "-f", "-", stdin="".join(map(json.dumps, objects)))


def inside(on: host.Host, *command: str) -> str:
    return on.kubectl("exec", "ask", "--", *command)


def url(ip: str, port: int = 80) -> str:
    return f"http://[{ip}]:{port}/" if ":" in ip else f"http://{ip}:{port}/"


def pod_ips(on: host.Host) -> dict[str, list[str]]:
    found = on.get("pods", "-l", "app=web")["items"]
    return {each["metadata"]["name"]: [ip["ip"] for ip in each["status"]["podIPs"]] for each in found}


def answers(on: host.Host, ip: str, port: int = 80) -> None:
    """The address answers from a Pod and from the host."""
    names = pod_ips(on)
    for asked in (
        lambda: inside(on, "timeout", "3", "wget", "-qO-", url(ip, port)),
        lambda: on.run("curl", "-gsSf", "-m", "3", url(ip, port)).stdout,
    ):
        said = host.wait_for(asked, what=f"an answer of {ip}")
        assert any(name in said for name in names), said


def resolved(on: host.Host, name: str, server: str) -> set[str]:
    """Ask a server from a Pod for addresses of both families."""
    lines = inside(on, "nslookup", name, server).splitlines()
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Address")]
    return {each for each in found if each.rpartition(":")[2] != "53" and each != server}


def test_pods_and_nodes_have_an_address_of_each_family(dual: host.Host) -> None:
    node = dual.get("node", "dual")
    assert node["spec"]["podCIDRs"] == ["10.244.0.0/24", "fd00:10:244::/64"]
    ips = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    assert ips == [V4, V6]
    for found in pod_ips(dual).values():
        assert [ipaddress.ip_address(ip).version for ip in found] == [4, 6]
        for ip in found:
            answers(dual, ip, demo_image.PORT)


def test_a_service_answers_over_both_families(dual: host.Host) -> None:
    spec = dual.get("service", "web")["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]
    for ip in spec["clusterIPs"]:
        answers(dual, ip)
    for ip in (V4, V6):
        answers(dual, ip, spec["ports"][0]["nodePort"])
    slices = dual.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    assert {each["addressType"]: len(each["endpoints"]) for each in slices} == {"IPv4": 2, "IPv6": 2}


def test_names_have_addresses_of_both_families(dual: host.Host) -> None:
    web = dual.get("service", "web")["spec"]["clusterIPs"]
    dns = dual.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIPs"]
    assert dns == ["10.96.0.10", "fd00:10:96::a"]
    every = {ip for ips in pod_ips(dual).values() for ip in ips}
    for server in dns:
        assert resolved(dual, "web.default.svc.cluster.local", server) == set(web)
        assert resolved(dual, "bare.default.svc.cluster.local", server) == every


def test_a_service_is_upgraded_and_downgraded(dual: host.Host) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": demo_image.PORT}]}
    apply(dual, service("later", **spec))
    first = dual.get("service", "later")["spec"]["clusterIPs"]
    dual.kubectl("patch", "service", "later", "-p", '{"spec":{"ipFamilyPolicy":"RequireDualStack"}}')
    both = dual.get("service", "later")["spec"]["clusterIPs"]
    assert both[0] == first[0]
    answers(dual, both[1])
    dual.kubectl("patch", "service", "later", "-p", '{"spec":{"ipFamilyPolicy":"SingleStack"}}')
    assert dual.get("service", "later")["spec"]["clusterIPs"] == first

    def families() -> Sequence[str]:
        slices = dual.get("endpointslices", "-l", "kubernetes.io/service-name=later")["items"]
        return [each["addressType"] for each in slices]

    host.wait_for(lambda: families() == ["IPv4"], what="the second family's slice gone")
    dual.kubectl("delete", "service", "later")


def test_a_further_range_gives_addresses_and_stays_while_they_are_used(dual: host.Host) -> None:
    cidr = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "more"},
        "spec": {"cidrs": ["10.97.0.0/24", "fd00:10:97::/120"]},
    }
    apply(dual, cidr)
    dual.kubectl("wait", "--for=condition=Ready", "servicecidr/more", "--timeout=50s")
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": demo_image.PORT}]}
    apply(dual, service("far", clusterIP="fd00:10:97::7", ipFamilyPolicy="RequireDualStack", **spec))
    host.wait_for(lambda: dual.get("ipaddress", "fd00:10:97::7"), what="an IPAddress")
    answers(dual, "fd00:10:97::7")
    dual.kubectl("delete", "servicecidr", "more", "--wait=false")
    dual.kubectl("wait", "--for=condition=Ready=False", "servicecidr/more", "--timeout=50s")
    dual.kubectl("delete", "service", "far")
    dual.kubectl("wait", "--for=delete", "servicecidr/more", "--timeout=50s")


def test_the_server_is_reached_by_either_family(dual: host.Host) -> None:
    for ip in (V4, V6):
        shown = dual.run(
            "curl",
            "-gsSf",
            "--cacert",
            "/etc/nanokube/pki/ca.crt",
            f"{url(ip, 6443)}healthz".replace("http", "https", 1),
        )
        assert shown.stdout == "ok"


def test_ipv6_alone_is_a_whole_cluster(alone: host.Host) -> None:
    node = alone.get("node", "alone")
    assert node["spec"]["podCIDRs"] == ["fd00:10:244::/64"]
    ips = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    assert ips == [V6]
    for found in pod_ips(alone).values():
        assert [ipaddress.ip_address(ip).version for ip in found] == [6]
        answers(alone, found[0], demo_image.PORT)
    spec = alone.get("service", "web")["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv6"], "PreferDualStack")
    answers(alone, spec["clusterIPs"][0])
    answers(alone, V6, spec["ports"][0]["nodePort"])
    assert resolved(alone, "web.default.svc.cluster.local", "fd00:10:96::a") == set(spec["clusterIPs"])
    assert "fd00:10:96::a" in inside(alone, "cat", "/etc/resolv.conf")
    kubernetes = alone.get("endpointslices", "kubernetes")
    assert (kubernetes["addressType"], kubernetes["endpoints"][0]["addresses"]) == ("IPv6", [V6])
    assert alone.kubectl("logs", "ask") == ""
    assert "no answer" not in alone.nanokube("demo")


def test_up_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with host.new(tmp_path, "gamma") as made:
        failed = made.nanokube("up", "--pod-cidr=10.244.0.0/16,fd00::/56", check=False)
        assert "are not of the same families" in failed
        assert "Traceback" not in failed


def serving_nodes(on: host.Host) -> set[str]:
    """Return the nodes of the server's Pods once all have addresses and none is on its way out; else none."""
    pods = on.get("pods", "-l", "app=web")["items"]
    if any("deletionTimestamp" in each["metadata"] or "podIPs" not in each["status"] for each in pods):
        return set()
    return {each["spec"]["nodeName"] for each in pods}


@pytest.mark.parametrize(
    "families", [("2001:db8::10", "2001:db8::11"), (f"{V4},{V6}", "192.0.2.11,2001:db8::11")]
)
def test_a_worker_joins_and_pods_reach_each_other(tmp_path: Path, families: tuple[str, str]) -> None:
    """Of a server of IPv6 alone the join line has brackets; a worker finds its address of each family."""
    own, other = families
    is_dual = "," in own
    with (
        host.lan() as lan,
        host.new(tmp_path / "a", "first", own, lan) as first,
        host.new(tmp_path / "b", "second", other, lan) as second,
    ):
        first.up(*(DUAL if is_dual else ()))
        _sudo, _nanokube, _join, *arguments = shlex.split(first.nanokube("token", "create"))
        assert arguments[0] == (f"https://{V4}:6443" if is_dual else f"https://[{V6}]:6443")
        second.nanokube("join", *arguments, "--cgroup-root", second.cgroup_root)
        node = first.get("node", "second")
        ips = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        assert ips == other.split(",")
        shares = ["10.244.1.0/24", "fd00:10:244:1::/64"]
        assert node["spec"]["podCIDRs"] == (shares if is_dual else shares[1:])
        for each in (first, second):
            import_demo_image(each)
        serve(first)
        first.kubectl("delete", "pods", "-l", "app=web", "--wait=false")
        host.wait_for(lambda: serving_nodes(first) == {"first", "second"}, what="a Pod on each node")
        for ips in pod_ips(first).values():
            for ip in ips:
                answers(first, ip, demo_image.PORT)
        for ip in first.get("service", "web")["spec"]["clusterIPs"]:
            for on in (first, second):
                host.wait_for(lambda ip=ip, on=on: on.run("curl", "-gsSf", "-m", "3", url(ip)).stdout, 15)
        assert first.kubectl("logs", "-l", "app=web", "--prefix") is not None
