"""etcd that ends instead of serving is noticed at once, and what it said is kept."""

import os
from pathlib import Path

import pytest

from nanokube.roles import config as node_config
from nanokube.roles import etcd, etcd_members


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> node_config.NodeConfig:
    """A node whose etcd is a program that cannot use its data."""
    program = tmp_path / "bin" / etcd.PROGRAM
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'the file is damaged' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    config = node_config.NodeConfig(
        "one", "127.0.0.1", root=tmp_path / "root", store=node_config.ETCD, etcd_client_port=1
    )
    (config.paths.etcd / "member").mkdir(parents=True)
    return config


def test_an_etcd_that_ends_is_not_waited_for(config: node_config.NodeConfig) -> None:
    with pytest.raises(etcd.EtcdError, match="etcd ended with 2") as caught:
        etcd_members.recover(config)
    said = config.paths.log / "etcd.log"
    assert str(said) in caught.value.hint
    assert "the file is damaged" in said.read_text()
