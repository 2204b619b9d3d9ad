"""Of two servers one is lost for good: what is left of etcd has no majority, and goes on alone."""

import shlex
from pathlib import Path

import pytest

from nanokube.roles import etcd
from tests.root.cluster import host

pytestmark = pytest.mark.root


def test_the_last_server_goes_on_alone(tmp_path: Path) -> None:
    etcd.ensure_program()
    with host.lan() as lan, host.new(tmp_path / "one", "one", on=lan) as one:
        one.up("--etcd")
        with host.new(tmp_path / "two", "two", "192.0.2.11", lan) as two:
            line = shlex.split(one.nanokube("token", "create", "--control-plane").strip())[3:]
            two.nanokube("join", *line, "--cgroup-root", two.cgroup_root)
            two.kubectl("create", "configmap", "kept")
            shown = one.nanokube("etcd", "members")
            assert shown.count("answers") == 2
            assert "etcd on two answers" in one.nanokube("etcd", "remove", "two", check=False)
            assert "one is this server" in one.nanokube("etcd", "remove", "one", check=False)
        # It ended with all that it held.
        assert "does not answer" in one.nanokube("etcd", "members", check=False)
        said = one.nanokube("etcd", "remove", "two", check=False)
        assert "cannot remove two from etcd" in said
        assert "of 2 members 1 answer, which is no majority" in said
        assert "the node runs" in one.nanokube("etcd", "recover", "--yes", check=False)
        one.nanokube("down", "--keep-pods")
        assert "etcd is of this server alone" in one.nanokube("etcd", "recover", "--yes")
        one.nanokube("up")
        one.kubectl("get", "configmap", "kept")
        one.kubectl("create", "configmap", "later")
        assert one.nanokube("etcd", "members").count("answers") == 1
