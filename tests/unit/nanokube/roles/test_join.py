"""Who may join, and with what settings."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanokube.client import kubeconfig, rest
from nanokube.roles import bootstrap, discovery, join
from nanokube.roles import config as node_config

CONFIG = node_config.NodeConfig(
    "w", "192.0.2.2", role=node_config.WORKER, joined="https://192.0.2.1:6443", node_pod_cidr=""
)


def node(name: str, address: str, ready: str = "True") -> dict[str, Any]:
    status = {
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return {"metadata": {"name": name}, "status": status}


@pytest.mark.parametrize(
    ("nodes", "cause"),
    [
        ([], ""),
        ([node("a", "192.0.2.1")], ""),
        ([node("w", "192.0.2.9")], "the name w is taken by a Node that is Ready"),
        ([node("w", "192.0.2.9", "Unknown")], ""),
        ([node("a", "192.0.2.2")], "the address 192.0.2.2 is taken by Node a"),
        ([node("a", "192.0.2.2", "Unknown")], "the address 192.0.2.2 is taken by Node a"),
    ],
)
def test_name_and_address_must_be_free(nodes: list[dict[str, Any]], cause: str) -> None:
    found = join.refusal(nodes, "w", ["192.0.2.2"])
    assert str(found or "") == cause
    assert found is None or found.remedy


def test_the_clusters_settings_are_taken() -> None:
    shared = {"pod_cidr": "10.1.0.0/16", "service_cidr": "10.2.0.0/16", "cluster_domain": "c", "later": 1}
    found = join.with_settings(CONFIG, {"data": {"settings": json.dumps(shared)}})
    assert (found.pod_cidr, found.service_cidr, found.cluster_domain) == ("10.1.0.0/16", "10.2.0.0/16", "c")
    assert (found.dns_ip, found.node_grace_s) == ("10.2.0.10", 40.0)
    found = join.with_settings(CONFIG, {"data": {"settings": json.dumps({**shared, "node_grace_s": 15.0})}})
    assert found.node_grace_s == 15.0


def test_a_host_takes_its_addresses_of_the_clusters_families() -> None:
    shared = {"pod_cidr": "fd00:1::/56", "service_cidr": "fd00:2::/112", "cluster_domain": "c"}
    both = dataclasses.replace(CONFIG, node_ip="192.0.2.2,2001:db8::2")
    found = join.with_settings(both, {"data": {"settings": json.dumps(shared)}})
    assert (found.node_ips, found.dns_ips) == (("2001:db8::2",), ("fd00:2::a",))
    with pytest.raises(discovery.JoinError, match="has none of IPv6") as caught:
        join.with_settings(CONFIG, {"data": {"settings": json.dumps(shared)}})
    assert "--node-ip" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "{}", '{"pod_cidr": "x", "service_cidr": "y", "cluster_domain": ""}'])
def test_settings_of_no_use_are_refused(text: str) -> None:
    with pytest.raises(discovery.JoinError, match="cannot use the cluster's settings"):
        join.with_settings(CONFIG, {"data": {"settings": text}})


def test_a_worker_is_written_and_read_again(tmp_path: Path) -> None:
    config = node_config.NodeConfig(
        "w", "192.0.2.2", role="worker", joined="https://192.0.2.1:6443", node_pod_cidr="", root=tmp_path
    )
    join.write(config, discovery.Cluster(config.joined, b"CA", "192.0.2.2"), b"PEM")
    assert node_config.load(config.paths) == config
    assert config.server == "https://127.0.0.1:6444"
    access = kubeconfig.load(config.paths.kubeconfig("kubelet"))
    assert (access.server, access.ca, access.client_certificate) == (config.server, b"CA", b"PEM")
    files = {each.name for each in kubeconfig.files(config.paths.kubeconfig("kubelet"))}
    assert files == {"kubelet.conf", bootstrap.KUBELET_CLIENT}
    assert yaml.safe_load(bootstrap.worker_kubeconfig("x"))["current-context"] == "nanokube"


@pytest.mark.parametrize(
    "change",
    [{"role": "king"}, {"joined": ""}, {"role": "server", "joined": ""}],
)
def test_a_role_that_makes_no_sense_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(node_config.ConfigError):
        node_config.validate(dataclasses.replace(CONFIG, **change))  # type: ignore[arg-type]


def test_a_worker_leaves_by_another_server_if_the_one_it_joined_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Client:
        def __init__(self, access: kubeconfig.Access, **_options: object) -> None:
            self._server = access.server

        async def __aenter__(self) -> "Client":
            return self

        async def __aexit__(self, *_error: object) -> None: ...

        async def delete(self, *_what: object) -> None:
            asked.append(self._server)
            if self._server == "https://192.0.2.1:6443":
                raise ConnectionError("it is gone")

    config = node_config.NodeConfig(
        "w", "192.0.2.2", role="worker", joined="https://192.0.2.1:6443", node_pod_cidr="", root=tmp_path
    )
    monkeypatch.setattr(rest, "Client", Client)
    monkeypatch.setattr(kubeconfig, "load", lambda _file: kubeconfig.Access("https://127.0.0.1:6444"))
    config.paths.lib.mkdir(parents=True)
    (config.paths.lib / "servers.json").write_text('["192.0.2.1:6443", "192.0.2.3:6443"]')
    assert asyncio.run(join.leave(config))
    assert asked == ["https://192.0.2.1:6443", "https://192.0.2.3:6443"]
