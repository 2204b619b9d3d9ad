"""The credentials of a cluster are made once, kept, and renewed where they no longer fit."""

import dataclasses
import datetime
import stat
from pathlib import Path

import pytest
import yaml

from nanokube.kit import pki
from nanokube.roles import bootstrap
from nanokube.roles import config as node_config
from nanokube.storage.sqlite.store import SqliteStore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_everything_is_made_once(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    first = bootstrap.ensure_credentials(config, NOW)
    assert {"ca", "sa", "apiserver", "kubelet-server", "admin.conf"} <= set(first)
    assert bootstrap.ensure_credentials(config, NOW) == []
    for key in config.paths.pki.iterdir():
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_front_proxies_have_an_authority_of_their_own(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    made = bootstrap.ensure_credentials(config, NOW)
    assert {"front-proxy-ca", "front-proxy-client"} <= set(made)

    def pair(name: str) -> pki.KeyPair:
        files = (config.paths.pki / f"{name}.{suffix}" for suffix in ("crt", "key"))
        return pki.KeyPair(*(file.read_bytes() for file in files))

    subject = pki.Subject("front-proxy-client")
    for name, is_theirs in (("ca", False), ("front-proxy-ca", True)):
        authority = pki.Authority(pair(name))
        assert authority.vouches_for(pair("front-proxy-client"), subject, NOW) is is_theirs
    later = NOW + datetime.timedelta(days=300)
    renewed = bootstrap.ensure_credentials(config, later)
    assert "front-proxy-client" in renewed
    assert "front-proxy-ca" not in renewed


def test_a_new_address_renews_the_serving_certificates_alone(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    moved = dataclasses.replace(config, node_ip="192.0.2.11")
    assert bootstrap.ensure_credentials(moved, NOW) == ["apiserver", "kubelet-server"]


def test_old_certificates_are_renewed_and_the_authority_kept(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    made = bootstrap.ensure_credentials(config, NOW + datetime.timedelta(days=300))
    assert "admin" in made
    assert "admin.conf" in made
    assert "ca" not in made
    assert "sa" not in made


def test_an_authority_is_renewed_by_its_own_key_when_half_its_life_is_over(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    read = {
        name: (config.paths.pki / name).read_bytes()
        for name in ("ca.crt", "ca.key", "admin.crt", "admin.key")
    }
    late = NOW + datetime.timedelta(days=5 * 365 + 1)
    assert {"ca", "front-proxy-ca", "admin.conf"} <= set(bootstrap.ensure_credentials(config, late))
    now = {name: (config.paths.pki / name).read_bytes() for name in read}
    assert (now["ca.key"], now["ca.crt"] == read["ca.crt"]) == (read["ca.key"], False)
    assert pki.describe(now["ca.crt"]).not_after > late + datetime.timedelta(days=3600)
    assert pki.public_key_hash(now["ca.crt"]) == pki.public_key_hash(read["ca.crt"])
    subject = pki.Subject("kubernetes-admin", ("system:masters",))
    former, current = (pki.Authority(pki.KeyPair(each["ca.crt"], each["ca.key"])) for each in (read, now))
    for authority in (former, current):
        assert authority.vouches_for(pki.KeyPair(read["admin.crt"], read["admin.key"]), subject, NOW)
        assert authority.vouches_for(pki.KeyPair(now["admin.crt"], now["admin.key"]), subject, late)
    assert bootstrap.ensure_credentials(config, late) == []
    assert "ca" in bootstrap.ensure_credentials(config, late, renew=["ca"])


def test_the_kubeconfig_is_complete_in_itself(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    document = yaml.safe_load(config.paths.admin_kubeconfig.read_text())
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert set(document["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


@pytest.mark.parametrize("content", [b"junk", b""])
def test_a_damaged_key_or_certificate_is_made_anew(tmp_path: Path, content: bytes) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    (config.paths.pki / "admin.key").write_bytes(content)
    (config.paths.pki / "apiserver.crt").write_bytes(content)
    assert bootstrap.ensure_credentials(config, NOW) == ["apiserver", "admin", "admin.conf"]


def test_a_key_of_another_certificate_is_made_anew(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    other = (config.paths.pki / "scheduler.key").read_bytes()
    (config.paths.pki / "admin.key").write_bytes(other)
    assert bootstrap.ensure_credentials(config, NOW) == ["admin", "admin.conf"]


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "sa.key", "sa.pub"])
def test_what_others_trust_is_never_replaced_but_named(tmp_path: Path, name: str) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    (config.paths.pki / name).write_text("junk")
    with pytest.raises(bootstrap.CredentialError, match=rf"cannot use .*/{name[:2]}\.key and"):
        bootstrap.ensure_credentials(config, NOW)


def test_a_binary_kubeconfig_is_written_anew(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    config.paths.admin_kubeconfig.write_bytes(b"\xff\xfe")
    assert bootstrap.ensure_credentials(config, NOW) == ["admin.conf"]


async def test_a_lost_key_is_not_replaced_where_something_needs_it(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    assert "encryption" in bootstrap.ensure_credentials(config, NOW)
    file = config.paths.pki / "encryption.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    store = await SqliteStore.open(config.paths.store / "cluster.db")
    await store.put("/registry/secrets/default/a", b"k8s:enc:aesgcm:v1:old:xxx")
    await store.close()
    file.unlink()
    with pytest.raises(bootstrap.CredentialError, match=r"is gone.*aesgcm key old"):
        bootstrap.ensure_credentials(config, NOW)
    assert not file.exists()
