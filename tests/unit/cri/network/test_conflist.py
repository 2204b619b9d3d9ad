"""Network configuration lists."""

import json
from pathlib import Path
from typing import Any

import pytest

from cri.network import conflist

BRIDGE: dict[str, Any] = {"type": "bridge", "capabilities": {"portMappings": True}}


def test_the_first_file_by_name_is_the_network(tmp_path: Path) -> None:
    assert conflist.find(tmp_path / "absent") is None
    assert conflist.find(tmp_path) is None
    for name in ("20-b.conflist", "10-a.conflist", "00-readme.txt"):
        (tmp_path / name).write_text(json.dumps({"name": name, "plugins": [BRIDGE]}))
    path = conflist.find(tmp_path)
    assert path is not None
    assert conflist.load(path).name == "10-a.conflist"


def test_a_single_plugin_is_a_list_of_one() -> None:
    network = conflist.parse({"cniVersion": "0.4.0", "name": "n", "type": "bridge"})
    assert network.types == ("bridge",)
    assert conflist.parse(network.to_json()) == network


@pytest.mark.parametrize(
    "data",
    [[], {}, {"name": "n", "plugins": []}, {"plugins": [BRIDGE]}, {"name": "n", "plugins": [{}]},
     {"name": "n", "plugins": [{"type": "../../bin/sh"}]}],
)  # fmt: skip
def test_what_is_no_list_is_refused(data: object) -> None:
    with pytest.raises(conflist.ConfigError):
        conflist.parse(data)


def test_a_plugin_gets_the_capabilities_it_declares() -> None:
    network = conflist.parse({"cniVersion": "1.1.0", "name": "n", "plugins": [BRIDGE, {"type": "tuning"}]})
    runtime = {"portMappings": [{"hostPort": 1}], "bandwidth": {}}
    first = json.loads(conflist.plugin_input(network, network.plugins[0], runtime, {}, None))
    assert first == {
        "type": "bridge",
        "name": "n",
        "cniVersion": "1.1.0",
        "runtimeConfig": {"portMappings": [{"hostPort": 1}]},
    }
    second = json.loads(conflist.plugin_input(network, network.plugins[1], runtime, {"x": 1}, {"ips": []}))
    assert second == {"type": "tuning", "name": "n", "cniVersion": "1.1.0", "prevResult": {"ips": []}, "x": 1}


def test_addresses_come_without_prefix_and_ipv4_first() -> None:
    result = {"ips": [{"address": "fd00::2/64"}, {"address": "10.0.0.2/24"}]}
    assert conflist.addresses(result) == ("10.0.0.2", "fd00::2")
    assert conflist.addresses({}) == ()


def test_a_plugin_is_ours_or_an_executable(tmp_path: Path) -> None:
    (tmp_path / "tuning").touch()
    assert conflist.missing(["bridge", "tuning", "calico"], ["bridge"], [tmp_path]) == ["calico"]
