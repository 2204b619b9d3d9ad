"""Settings of a node: what fits together, what is refused, what survives a restart."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from nanokube.kit import paths
from nanokube.roles import config as node_config


def sample(root: Path = Path("/")) -> node_config.NodeConfig:
    return node_config.NodeConfig("n1", "192.0.2.10", root=root)


def test_saved_settings_are_read_back(tmp_path: Path) -> None:
    config = dataclasses.replace(sample(tmp_path), api_port=7443)
    assert node_config.load(config.paths) is None
    node_config.save(config)
    assert node_config.load(config.paths) == config


def test_well_known_addresses_follow_the_service_range() -> None:
    config = dataclasses.replace(sample(), service_cidr="10.7.0.0/16")
    assert (config.kubernetes_ip, config.dns_ip) == ("10.7.0.1", "10.7.0.10")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pod_cidr": "10.96.0.0/12", "node_pod_cidr": "10.96.0.0/24"}, "overlaps"),
        ({"node_pod_cidr": "10.245.0.0/24"}, "not inside"),
        ({"service_cidr": "10.96.0.0/30"}, "too small"),
        ({"service_cidr": "10.96.0.1/16"}, "not an IPv4 range"),
        ({"api_port": 0}, "not a port"),
        ({"node_ip": "example"}, "not an IPv4 address"),
        ({"node_pod_cidr": "10.244.0.0/31"}, "too small"),
        ({"api_port": 10250}, "both 10250"),
        ({"node_name": "Bad_Name"}, "node name 'Bad_Name' cannot be used: a lowercase RFC 1123 subdomain"),
        ({"node_name": ""}, "node name '' cannot be used"),
        ({"shutdown_grace_s": 5, "shutdown_grace_critical_s": 6}, "of 5 s .* cannot have 6 s"),
        ({"shutdown_grace_s": -1}, "at a shutdown"),
        ({"cgroup_root": ""}, "cgroup root ''"),
        ({"cgroup_root": "."}, "cgroup root '.'"),
        ({"cgroup_root": "../system"}, "cgroup root"),
        ({"cgroup_root": "system.slice"}, "cgroup root"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(node_config.ConfigError, match=message):
        node_config.validate(dataclasses.replace(sample(), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{", "[]", '{"node_name": "a"}', '{"unknown": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    place = paths.Paths(tmp_path)
    place.etc.mkdir(parents=True)
    (place.etc / node_config.FILE).write_text(text)
    with pytest.raises(node_config.ConfigError, match=r"node\.json"):
        node_config.load(place)


def test_what_a_node_was_started_with_outlives_its_settings(tmp_path: Path) -> None:
    config = dataclasses.replace(sample(), root=tmp_path)
    config.paths.run.mkdir(parents=True)
    assert node_config.load_running(config.paths) is None
    node_config.save_running(config)
    assert node_config.load_running(config.paths) == config
    assert node_config.load(config.paths) is None


def test_settings_import_nothing_heavy() -> None:
    heavy = ["aiohttp", "cryptography", "grpc", "pyroute2", "nanokube.api.validation.kinds"]
    script = f"import sys, nanokube.roles.config; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", "every command and every node would wait for it"
