"""What a kubelet's Pod ranges make of the node's network."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri import config, faults
from cri.api import runtime_pb2 as pb
from cri.server import runtime_config
from cri.server.environment import Environment


def _update(directory: Path, cidr: str) -> None:
    settings = config.Config(cni_conf_dir=directory)
    env = cast(Environment, SimpleNamespace(config=settings))
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
    assert json.loads((tmp_path / "10-nanokube.conflist").read_bytes()) == network, "the first one stays"


def test_no_range_makes_no_network(tmp_path: Path) -> None:
    _update(tmp_path, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cidr", ["bogus", "10.1.0.1/24", "10.1.0.0/24,10.2.0.0/24"])
def test_ranges_that_cannot_be_are_refused(tmp_path: Path, cidr: str) -> None:
    with pytest.raises(faults.RuntimeFault, match="cannot use Pod range"):
        _update(tmp_path, cidr)
