"""A node whose network was a bridge: new Pods get links of their own, and reach those still on it."""

import json
from typing import Any

import pytest

from tests.root.cluster import conftest, host, test_kubectl

pytestmark = pytest.mark.root

_CONFLIST = "/var/lib/nanokube/cni/net.d/10-nanokube.conflist"
_AS_IT_WAS = """
import json, sys
held = json.load(open(sys.argv[1]))
bridge = {"type": "bridge", "bridge": "nk0", "isGateway": True, "isDefaultGateway": True, "routed": True}
first = {key: value for key, value in held["plugins"][0].items() if key not in ("type", "gatewayLink")}
held["plugins"][0] = bridge | first
json.dump(held, open(sys.argv[1], "w"))
"""


def test_pods_on_the_bridge_and_off_it_are_one_network(bare_host: host.Host) -> None:
    bare_host.up()
    conftest.import_demo_image(bare_host)
    today = bare_host.run("cat", _CONFLIST).stdout
    bare_host.run("python3", "-c", _AS_IT_WAS, _CONFLIST)
    _start(bare_host, "old", 12000)
    bare_host.run("python3", "-c", f"open({_CONFLIST!r}, 'w').write({today!r})")
    _start(bare_host, "new", 12001)
    assert _links(bare_host) == (1, 1)
    for source, target, port in (
        ("old", "new", 12001),
        ("new", "old", 12000),
        ("old", "old", 12000),
        ("new", "new", 12001),
    ):
        (pod,) = _pods(bare_host, target)
        own = _pods(bare_host, source)[0]["metadata"]["name"]
        for where in (f"{pod['status']['podIP']}:8080", f"{target}", f"{host.ADDRESS}:{port}"):
            answer = bare_host.kubectl("exec", own, "--", "timeout", "3", "wget", "-qO-", f"http://{where}/")
            assert pod["metadata"]["name"] in answer, (source, where)
    bare_host.kubectl("delete", "deployment/old", "--wait=true")
    host.wait_for(lambda: not _pods(bare_host, "old"), what="the end of the Pod on the bridge")
    host.wait_for(lambda: _links(bare_host) == (0, 1), what="the end of its link")


def _start(on: host.Host, name: str, port: int) -> None:
    deployment = test_kubectl.deployment(name, replicas=1)
    deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = port
    objects = (deployment, test_kubectl.service(name))
    on.kubectl("apply", "-f", "-", stdin="".join(map(json.dumps, objects)))
    on.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")


def _pods(on: host.Host, name: str) -> Any:
    return on.get("pods", "-l", f"app={name}")["items"]


def _links(on: host.Host) -> tuple[int, int]:
    """Return how many Pods are on the bridge, and how many off it."""
    ports = on.run("sh", "-c", "ip -o link | grep -c 'master nk0'", check=False).stdout
    routes = on.run("ip", "-j", "route", "show", "proto", "109").stdout
    return int(ports), len(json.loads(routes or "[]"))
