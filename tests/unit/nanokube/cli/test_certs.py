"""What `nanokube certs` says of each certificate, and `token` of each token."""

import datetime
from pathlib import Path

import pytest

from nanokube.cli import certs, token
from nanokube.kit import pki
from nanokube.roles import bootstrap, etcd
from nanokube.roles import config as node_config

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_every_certificate_is_listed_with_its_renewal(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    found = {each.name: each for each in certs.shown(config)}
    assert next(iter(found)) == "ca"
    assert found["ca"].renews == "2030-12-31, by the same key"
    assert found["apiserver"].renews == "2026-10-03"
    assert "192.0.2.10" in found["apiserver"].described.names
    assert found["admin"].described.subject == "CN=kubernetes-admin,O=system:masters"
    assert "sa" not in found, "a key pair without a certificate"


def test_etcds_certificates_are_listed_and_renewed(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path, store=node_config.ETCD)
    bootstrap.ensure_credentials(config, NOW)
    made = ["etcd/ca", "etcd/server", "etcd/peer", "etcd/client"]
    assert etcd.ensure_credentials(config, NOW) == made
    assert set(made) <= {each.name for each in certs.shown(config)}
    assert etcd.ensure_credentials(config, NOW, renew=["etcd/peer"]) == ["etcd/peer"]
    assert etcd.ensure_credentials(config, NOW, renew=["etcd/ca"]) == ["etcd/ca"]


def test_what_is_named_is_renewed_and_nothing_else(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW)
    before = {file.name: file.read_bytes() for file in config.paths.pki.iterdir()}
    assert bootstrap.ensure_credentials(config, NOW, renew=["admin"]) == ["admin", "admin.conf"]
    after = {file.name: file.read_bytes() for file in config.paths.pki.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"admin.crt", "admin.key"}


def test_a_workers_certificate_says_between_which_days_it_is_renewed() -> None:
    described = pki.Described("", "", (), NOW, NOW + datetime.timedelta(days=100), False)
    found = certs.renews(Path("kubelet-client.pem"), described)
    assert found == "between 2026-03-12 and 2026-04-01, by the cluster"


@pytest.mark.parametrize("text", ["", "h", "1", "1x", "24h ", "-1h"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no span of time"):
        token.duration_s(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("30s", 30), ("1h30m", 5400), ("7d", 604800)])
def test_spans_of_time(text: str, seconds: float) -> None:
    assert token.duration_s(text) == seconds
