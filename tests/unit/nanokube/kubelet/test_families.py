"""Nodes and Pods of IPv4 and IPv6: whose address comes first, and where each is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from nanokube.kubelet import cri_client
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers import fields, hosts
from nanokube.kubelet.node import certificates, status
from nanokube.kubelet.node.status import Facts
from nanokube.kubelet.podview import PodView, SandboxView
from nanokube.kubelet.probes.results import Results
from nanokube.kubelet.status.containers import Observed
from nanokube.kubelet.status.generate import generate

BOTH = ("192.0.2.10", "2001:db8::10")
CONFIG = KubeletConfig(
    "n1", ",".join(BOTH), Path("/s"), pod_cidr="10.244.0.0/24,fd00:10:244::/64", address="0.0.0.0,::"
)
FACTS = Facts(1, 1, 1, 1, 1, 1, 1, "", "", "", "", "", "amd64")
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "default", "uid": "u"},
    "spec": {"containers": [{"name": "main", "image": "i"}]},
}


def _status(pod: Mapping[str, Any], *ips: str) -> dict[str, Any]:
    view = PodView("u", sandboxes=(SandboxView("s", 0, True, 1, ips=ips),))
    return generate(pod, Observed(view, Results()), host_ips=BOTH, start_time=0, now=1)


def test_a_node_tells_both_addresses_and_ranges() -> None:
    built = status.node(CONFIG, FACTS)["spec"]
    assert built == {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd00:10:244::/64"]}
    shown = status.status(CONFIG, FACTS, {}, [], not_ready="", now=0)["addresses"]
    assert [each["address"] for each in shown if each["type"] == "InternalIP"] == list(BOTH)
    assert certificates.serving_subject("n1", CONFIG.node_ip).names == ("n1", *BOTH)


def test_a_pod_tells_both() -> None:
    built = _status(POD, "10.244.0.5", "fd00:10:244::5")
    assert (built["podIP"], built["hostIP"]) == ("10.244.0.5", BOTH[0])
    assert built["podIPs"] == [{"ip": "10.244.0.5"}, {"ip": "fd00:10:244::5"}]
    assert built["hostIPs"] == [{"ip": each} for each in BOTH]


def test_a_pod_on_the_hosts_network_has_the_hosts() -> None:
    built = _status({**POD, "spec": {**POD["spec"], "hostNetwork": True}})
    assert built["podIPs"] == [{"ip": each} for each in BOTH]


@pytest.mark.parametrize(
    ("primary", "ips"),
    [(4, ("10.244.0.5", "fd00:10:244::5")), (6, ("fd00:10:244::5", "10.244.0.5"))],
)
def test_the_primary_family_comes_first(primary: int, ips: tuple[str, ...]) -> None:
    extra = [pb.PodIP(ip="10.244.0.5"), pb.PodIP(ip="10.244.0.6")]
    network = pb.PodSandboxNetworkStatus(ip="fd00:10:244::5", additional_ips=extra)
    view = cri_client.sandbox_view(pb.PodSandboxStatus(id="s", network=network), primary)
    assert view.ips == ips


def test_the_downward_api_and_the_hosts_file_name_both() -> None:
    pod_ips = ("10.244.0.5", "fd00:10:244::5")

    def value(path: str) -> str:
        return fields.field_value(POD, path, host_ips=BOTH, pod_ips=pod_ips)

    assert value("status.hostIP") == BOTH[0]
    assert value("status.hostIPs") == ",".join(BOTH)
    assert value("status.podIP") == pod_ips[0]
    assert value("status.podIPs") == ",".join(pod_ips)
    text = hosts.content(POD, pod_ips, "cluster.local", "")
    assert "10.244.0.5\tp\nfd00:10:244::5\tp\n" in text
