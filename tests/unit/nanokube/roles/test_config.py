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
        ({"node_grace_s": 10.0}, "10 s for nodes cannot be given: it is from 15 to 3600 s"),
        ({"service_cidr": "10.96.0.0/30"}, "too small"),
        ({"service_cidr": "10.96.0.1/16"}, "not an IPv4 or IPv6 range"),
        ({"service_cidr": "11.0.0.0/8"}, "service range 11.0.0.0/8 is too large: at most /12"),
        ({"service_cidr": ""}, "service cidr is empty"),
        ({"service_cidr": "10.96.0.0/16,10.97.0.0/16"}, "two ranges of one family"),
        ({"service_cidr": "10.96.0.0/16,fd00::/112"}, "not of the same families"),
        ({"pod_cidr": "fd00:1::/56", "node_pod_cidr": "fd00:1::/64"}, "not of the same families"),
        ({"node_ip": ""}, "address is empty"),
        ({"node_ip": "192.0.2.1,192.0.2.2"}, "two addresses of one family"),
        ({"node_ip": "2001:db8::1"}, "has none of IPv4"),
        ({"node_mask_bits": 31}, "node ranges of /31"),
        ({"api_port": 0}, "not a port"),
        ({"node_ip": "example"}, "is not an IP address"),
        ({"node_pod_cidr": "10.244.0.0/31"}, "too small"),
        ({"api_port": 10250}, "both 10250"),
        ({"node_name": "Bad_Name"}, "node name 'Bad_Name' cannot be used: it must be a-z"),
        ({"node_name": "n" * 53}, "52 characters at most; give one by --node-name"),
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


DUAL: dict[str, object] = {
    "pod_cidr": "10.244.0.0/16,fd00:10:244::/56",
    "node_pod_cidr": "10.244.0.0/24,fd00:10:244::/64",
    "service_cidr": "10.96.0.0/16,fd00:10:96::/112",
    "node_ip": "192.0.2.10,2001:db8::10",
}


def replaced(**changes: object) -> node_config.NodeConfig:
    return node_config.validate(dataclasses.replace(sample(), **{**DUAL, **changes}))  # type: ignore[arg-type]


def test_two_families_have_each_setting_in_parts() -> None:
    config = replaced()
    assert config.pod_cidrs == ("10.244.0.0/16", "fd00:10:244::/56")
    assert config.service_cidrs == ("10.96.0.0/16", "fd00:10:96::/112")
    assert (config.node_ips, config.first_node_ip) == (("192.0.2.10", "2001:db8::10"), "192.0.2.10")
    assert (config.dns_ips, config.dns_ip) == (("10.96.0.10", "fd00:10:96::a"), "10.96.0.10")
    assert (config.kubernetes_ip, config.public_server) == ("10.96.0.1", "https://192.0.2.10:6443")


def test_ipv6_alone_has_brackets_in_urls() -> None:
    config = replaced(**{name: str(value).split(",")[1] for name, value in DUAL.items()})
    assert (config.kubernetes_ip, config.dns_ips) == ("fd00:10:96::1", ("fd00:10:96::a",))
    assert config.public_server == "https://[2001:db8::10]:6443"
    assert (
        replaced(**{**{n: str(v).split(",")[1] for n, v in DUAL.items()}, "node_ip": "::1"}).public_server
        == ""
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"service_cidr": "10.96.0.0/16,fd00:10:96::/64"}, "too large: at most /108"),
        ({"service_cidr": "10.96.0.0/16,fd00:10:96::/125"}, "too small: at least /124"),
        ({"service_cidr": "fd00:10:96::/112,10.96.0.0/16"}, "not of the same families in the same order"),
        ({"service_cidr": "10.96.0.0/16,fd00:10:244::/112"}, "overlaps"),
        ({"node_pod_cidr": "10.244.0.0/24"}, "node's pod range 10.244.0.0/24 are not of the same families"),
        (
            {"pod_cidr": "10.244.0.0/16,fd00:11::/32", "node_pod_cidr": "10.244.0.0/24,fd00:11::/64"},
            "at most /48",
        ),
        ({"node_ip": "192.0.2.10"}, "has none of IPv6.*--node-ip"),
        ({"node_ip": "2001:db8::10,192.0.2.10"}, "begins with IPv6"),
    ],
)
def test_two_families_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(node_config.ConfigError, match=message):
        replaced(**change)


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
