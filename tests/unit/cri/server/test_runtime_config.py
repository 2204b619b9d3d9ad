"""What a kubelet's Pod ranges make of the node's network."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cni import conflist
from cri import config, faults
from cri.api import runtime_pb2 as pb
from cri.server import runtime_config, stop_pod_sandbox
from cri.server.environment import Environment
from cri.store import records


@pytest.fixture(autouse=True)
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which links were removed."""
    found: list[str] = []
    monkeypatch.setattr(conflist, "remove_gateways", found.append)
    return found


def _update(directory: Path, cidr: str, pods: Sequence[records.Sandbox] = ()) -> None:
    settings = config.Config(cni_conf_dir=directory)
    store = SimpleNamespace(sandboxes=SimpleNamespace(all=lambda: pods))
    env = cast(Environment, SimpleNamespace(config=settings, store=store))
    network = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=cidr))
    runtime_config.update(env, pb.UpdateRuntimeConfigRequest(runtime_config=network), cast(Any, None))


@pytest.mark.parametrize(
    ("cidr", "subnets"),
    [
        ("10.1.0.0/24", ["10.1.0.0/24"]),
        ("10.1.0.0/24,fd00:1::/64", ["10.1.0.0/24", "fd00:1::/64"]),
        ("fd00:1::/64", ["fd00:1::/64"]),
    ],
)
def test_pods_get_an_address_of_each_range(tmp_path: Path, cidr: str, subnets: list[str]) -> None:
    _update(tmp_path, cidr)
    network = json.loads((tmp_path / "10-nanokube.conflist").read_bytes())
    assert [each[0]["subnet"] for each in network["plugins"][0]["ipam"]["ranges"]] == subnets
    _update(tmp_path, "10.9.0.0/24")
    network = json.loads((tmp_path / "10-nanokube.conflist").read_bytes())
    assert network["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] == "10.9.0.0/24", "a Node that came back"


def test_another_network_stays(tmp_path: Path) -> None:
    other = tmp_path / "05-other.conflist"
    other.write_text('{"name": "other", "plugins": [{"type": "ptp"}]}')
    _update(tmp_path, "10.9.0.0/24")
    assert list(tmp_path.iterdir()) == [other]


def test_pods_of_a_former_range_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    def pod(name: str, ip: str, network: int = pb.POD, state: str = "ready") -> records.Sandbox:
        options = pb.NamespaceOption(network=cast(Any, network))
        context = pb.LinuxSandboxSecurityContext(namespace_options=options)
        made = pb.PodSandboxConfig(linux=pb.LinuxPodSandboxConfig(security_context=context))
        return records.Sandbox(name, made, ips=(ip,), state=records.SandboxState(state))

    pods = [
        *(pod("former", "10.1.0.5"), pod("fits", "10.9.0.5"), pod("host", "192.0.2.1", pb.NODE)),
        pod("stopped", "10.1.0.6", state="notready"),
    ]
    stopped: list[str] = []
    monkeypatch.setattr(stop_pod_sandbox, "stop", lambda _env, identity: stopped.append(identity))
    for cidr, ended in (("10.1.0.0/24", []), ("10.1.0.0/24", []), ("10.9.0.0/24", ["former"])):
        _update(tmp_path, cidr, pods)
        assert stopped == ended
        assert removed == (["nk0"] if ended else []), "its addresses hide the Pods of who has the range now"


@pytest.mark.parametrize(
    ("name", "first", "is_kept"),
    [
        ("10-nanokube.conflist", {"type": "bridge", "bridge": "nk0", "routed": True}, False),
        ("10-nanokube.conflist", {"type": "bridge", "bridge": "mine"}, True),
        ("05-mine.conflist", {"type": "bridge", "bridge": "nk0", "routed": True}, True),
    ],
)
def test_an_earlier_versions_bridge_gives_way(
    tmp_path: Path, name: str, first: dict[str, Any], is_kept: bool, removed: list[str]
) -> None:
    plugin = {**first, "ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}]]}}
    (tmp_path / name).write_text(json.dumps({"name": "nanokube", "plugins": [plugin]}))
    _update(tmp_path, "10.1.0.0/24")
    assert removed == [], "Pods on the bridge keep their gateway"
    (held,) = tmp_path.iterdir()
    assert (json.loads(held.read_bytes())["plugins"][0]["type"] == "bridge") == is_kept


def test_no_range_makes_no_network(tmp_path: Path) -> None:
    _update(tmp_path, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cidr", ["bogus", "10.1.0.1/24", "10.1.0.0/24,10.2.0.0/24"])
def test_ranges_that_cannot_be_are_refused(tmp_path: Path, cidr: str) -> None:
    with pytest.raises(faults.RuntimeFault, match="cannot use Pod range"):
        _update(tmp_path, cidr)
