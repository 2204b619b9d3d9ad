"""What a further server is given: whole for who has the key, nothing for anyone else."""

import base64
import dataclasses
import stat
from pathlib import Path

import pytest

from nanokube.roles import bootstrap, discovery, encryption_keys, handover
from nanokube.roles import config as node_config
from tests.unit.nanokube.roles.test_bootstrap import NOW

KEY = bytes(range(32))


def first(root: Path) -> node_config.NodeConfig:
    root.mkdir()
    (root / "etcd.pem").write_text("CA")
    config = node_config.NodeConfig(
        "one",
        "192.0.2.1",
        pod_cidr="10.1.0.0/16",
        node_pod_cidr="10.1.0.0/24",
        store="https://192.0.2.9:2379",
        etcd_ca=str(root / "etcd.pem"),
        root=root,
    )
    bootstrap.ensure_credentials(config, NOW)
    return config


def joining(root: Path) -> node_config.NodeConfig:
    return node_config.NodeConfig(
        "two", "192.0.2.2", node_pod_cidr="", joined="https://192.0.2.1:6443", root=root
    )


def test_a_second_server_is_like_the_first_but_for_its_own(tmp_path: Path) -> None:
    one, two = first(tmp_path / "one"), joining(tmp_path / "two")
    secret = handover.seal(handover.collect(one), KEY)
    bundle = handover.unseal(secret, KEY.hex())
    config = handover.settings_of(bundle, two)
    handover.write(bundle, config)
    assert bundle.origin == "192.0.2.1"
    assert (config.node_name, config.node_ip, config.node_pod_cidr) == ("two", "192.0.2.2", "")
    assert (config.pod_cidr, config.store) == ("10.1.0.0/16", "https://192.0.2.9:2379")
    assert Path(config.etcd_ca).read_text() == "CA"
    for name in ("ca.crt", "ca.key", "sa.key", "sa.pub"):
        file = config.paths.pki / name
        assert file.read_bytes() == (one.paths.pki / name).read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = bootstrap.ensure_credentials(config, NOW)
    assert "ca" not in made
    assert "apiserver" in made


def test_the_secret_says_nothing_without_the_key(tmp_path: Path) -> None:
    one = first(tmp_path / "one")
    secret = handover.seal(handover.collect(one), KEY)
    assert b"PRIVATE KEY" not in base64.b64decode(secret["data"]["bundle"])
    for key in (bytes(32).hex(), "", "zz", KEY.hex()[:-2]):
        with pytest.raises(discovery.JoinError, match="the certificate key is wrong"):
            handover.unseal(secret, key)
    with pytest.raises(discovery.JoinError, match="the certificate key is wrong"):
        handover.unseal({"data": {}}, KEY.hex())


def test_a_file_that_has_no_business_there_is_not_written(tmp_path: Path) -> None:
    bundle = handover.Bundle("192.0.2.1", {}, {"../../evil": b""})
    with pytest.raises(discovery.JoinError, match="cannot use what was handed over"):
        handover.write(bundle, joining(tmp_path))


def test_settings_of_another_version_are_refused_or_left_out(tmp_path: Path) -> None:
    bundle = handover.Bundle("192.0.2.1", {"later": 1, "node_name": "evil", "api_port": 7443}, {})
    found = handover.settings_of(bundle, joining(tmp_path))
    assert found == dataclasses.replace(joining(tmp_path), api_port=7443)
    with pytest.raises(discovery.JoinError, match="cannot use the server's settings"):
        handover.settings_of(dataclasses.replace(bundle, settings={"pod_cidr": "x"}), joining(tmp_path))


def test_servers_share_the_keys_of_what_is_encrypted(tmp_path: Path) -> None:
    one, two = first(tmp_path / "one"), joining(tmp_path / "two")
    handover.write(handover.collect(one), two)
    bootstrap.ensure_credentials(two, NOW)
    files = [encryption_keys.path(config) for config in (one, two)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600
