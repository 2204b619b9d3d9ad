"""What a check finds on this host, where the answer is sure."""

import contextlib
import dataclasses
import socket

import pytest

from nanokube.roles import checks
from nanokube.roles import config as node_config


@pytest.mark.parametrize(
    ("address", "is_ok"), [("127.0.0.1", True), ("203.0.113.77", False), ("127.0.0.1,2001:db8::77", False)]
)
def test_a_node_address_must_be_one_of_the_host(address: str, is_ok: bool) -> None:
    results = checks.run_all(node_config.NodeConfig("n", address))
    found = next(each for each in results if each.name == "node address")
    assert found.is_ok is is_ok
    assert address.rpartition(",")[2] in found.found


NONE = "0" * 32
_IPV6_ROUTES = f"""\
fd000010024400000000000000000000 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001 eth9
fd000010024500000000000000000001 80 {NONE} 00 {NONE} 00000000 00000001 00000000 80200001 eth8
fe800000000000000000000000000000 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001 eth9
00000000000000000000000000000000 00 {NONE} 00 {NONE} 00000400 00000001 00000000 00000003 eth9
"""


@pytest.mark.parametrize(
    ("pods", "found"),
    [("fd00:10:244::/56", "fd00:10:244::/64 on eth9 overlaps"), ("fd00:10:245::/56", "")],
)
def test_a_range_of_ipv6_must_not_hide_a_network(
    pods: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_read", lambda path: _IPV6_ROUTES if path == "/proc/net/ipv6_route" else "")
    monkeypatch.setattr(checks, "_made_by_us", frozenset)
    config = node_config.NodeConfig("n", "::1", pod_cidr=pods, service_cidr="fd00:10:96::/112")
    result = next(each for each in checks.run_all(config) if each.name == "address ranges")
    assert result.is_ok is not bool(found)
    assert found in result.found


def test_a_host_without_ipv6_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_read", lambda path: "1\n" if path.endswith("all/disable_ipv6") else "")
    asked = node_config.NodeConfig("n", "::1", pod_cidr="fd00:10:244::/56", service_cidr="fd00:10:96::/112")
    result = next(each for each in checks.run_all(asked) if each.name == "IPv6")
    assert not result.is_ok
    assert "IPv4 ranges only" in result.remedy
    plain = next(
        each for each in checks.run_all(node_config.NodeConfig("n", "127.0.0.1")) if each.name == "IPv6"
    )
    assert plain.is_ok


SERVER = node_config.NodeConfig("n", "127.0.0.1")
WORKER = dataclasses.replace(SERVER, role=node_config.WORKER, joined="https://192.0.2.1:6443")


@pytest.mark.parametrize(
    ("config", "field", "address", "remedy"),
    [
        (SERVER, "kubelet_port", "0.0.0.0", "choose another: --kubelet-port N"),
        (WORKER, "kubelet_port", "0.0.0.0", "choose another: --kubelet-port N"),
        (WORKER, "balancer_port", "127.0.0.1", "choose another: --balancer-port N"),
        (dataclasses.replace(SERVER, store=node_config.ETCD), "etcd_client_port", "127.0.0.1", "names it)"),
        (dataclasses.replace(SERVER, store=node_config.ETCD), "etcd_peer_port", "127.0.0.1", "names it)"),
        (SERVER, "etcd_client_port", "127.0.0.1", ""),
        (WORKER, "api_port", "0.0.0.0", ""),
        (SERVER, "balancer_port", "0.0.0.0", ""),
    ],
)
def test_a_port_that_the_node_needs_must_be_free(
    config: node_config.NodeConfig, field: str, address: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_is_running", lambda _config: False)
    ports = (f"{name}_port" for name in ("api", "kubelet", "balancer", "etcd_client", "etcd_peer"))
    with contextlib.ExitStack() as stack:
        free = {each: stack.enter_context(socket.socket()) for each in ports}
        for probe in free.values():
            probe.bind(("127.0.0.1", 0))
        numbers = {name: probe.getsockname()[1] for name, probe in free.items()}
    config = dataclasses.replace(config, **numbers)
    with socket.socket() as taken:
        taken.bind((address, numbers[field]))
        taken.listen()
        result = next(each for each in checks.run_all(config) if each.name == "ports")
    assert result.is_ok is not bool(remedy)
    if remedy:
        assert result.found == f"in use: {numbers[field]}"
        assert result.remedy.endswith(remedy)


def test_an_etcd_that_is_to_have_the_objects_must_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for listens in (False, True):
            if listens:
                taken.listen()
            config = dataclasses.replace(SERVER, store=f"etcd://127.0.0.1:1,{address}")
            result = next(each for each in checks.run_all(config) if each.name == "object store")
            assert result.is_ok is listens
            shown = f"etcd at {address}" if listens else "no etcd at 127.0.0.1:1: Connection refused"
            assert result.found == shown
    assert next(r for r in checks.run_all(SERVER) if r.name == "object store").found == "SQLite"
