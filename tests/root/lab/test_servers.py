"""Two servers change the store's keys in stages; a third that lost its disk comes back."""

import shlex
import time
from pathlib import Path

import pytest

from nanokube.roles import etcd
from tests.root.cluster import host

pytestmark = pytest.mark.root


def test_servers_change_keys_in_stages_and_one_that_lost_its_disk_comes_back(tmp_path: Path) -> None:
    etcd.ensure_program()
    with (
        host.lan() as lan,
        host.new(tmp_path / "one", "one", on=lan) as one,
        host.new(tmp_path / "two", "two", "192.0.2.11", lan) as two,
    ):
        one.up("--etcd", "--node-monitor-grace-period", "15")
        line = shlex.split(one.nanokube("token", "create", "--control-plane").strip())[3:]
        two.nanokube("join", *line, "--cgroup-root", two.cgroup_root)
        change_keys(one, two)
        with host.new(tmp_path / "late", "three", "192.0.2.12", lan) as three:
            said = three.nanokube("join", *line, "--cgroup-root", three.cgroup_root, check=False)
            assert "what was laid out with it has gone" in said, "a line of before names the former keys"
        line = shlex.split(one.nanokube("token", "create", "--control-plane").strip())[3:]
        with host.new(tmp_path / "three", "three", "192.0.2.12", lan) as three:
            three.nanokube("join", *line, "--cgroup-root", three.cgroup_root)
            one.kubectl("create", "configmap", "before")
        # It ended with all that it held, and is a member of etcd still: a server that is off counts.
        assert "the cluster has 3 servers" in one.nanokube("encryption", "rotate", check=False)
        host.wait_for(lambda: not is_ready(one, "three"), 90, "three is not Ready")
        with host.new(tmp_path / "again", "three", "192.0.2.12", lan) as three:
            line = shlex.split(one.nanokube("token", "create", "--control-plane").strip())[3:]
            said = three.nanokube("join", *line, "--cgroup-root", three.cgroup_root)
            assert "Node three (192.0.2.12) is Ready" in said
            three.kubectl("get", "configmap", "before")
            # what a handed-over key reads
            assert three.kubectl("get", "secret", "s", "-o", "jsonpath={.data.k}") == "dg=="


def change_keys(one: host.Host, two: host.Host) -> None:
    """Change the store's keys under two servers, by the steps that the command names."""
    one.kubectl("create", "secret", "generic", "s", "--from-literal=k=v")
    assert "the cluster has 2 servers" in one.nanokube("encryption", "rotate", check=False)
    file = "/etc/nanokube/pki/encryption.yaml"
    former = two.run("cat", file).stdout
    for stage in ("add", "use", "drop"):
        if stage == "use":
            two.run("sh", "-c", f"cat > {file}", stdin=former)
            said = one.nanokube("encryption", "rotate", "--stage", stage, check=False)
            assert "cannot use: server 192.0.2.11 has another encryption.yaml" in said
            hand_over(one, two, file)
        said = one.nanokube("encryption", "rotate", "--stage", stage)
        assert f"next: copy {file} to the other servers" in said
        hand_over(one, two, file)
        time.sleep(3)  # a server takes a changed file within a second or two
        for each in (one, two):
            assert each.kubectl("get", "secret", "s", "-o", "jsonpath={.data.k}") == "dg=="
            each.kubectl("create", "secret", "generic", f"{each.name}-{stage}", "--from-literal=k=v")
    assert two.run("cat", file).stdout != former
    kept = {line for line in two.run("cat", file).stdout.splitlines() if "secret:" in line}
    assert not kept & set(former.splitlines())
    assert "to be written again" not in two.nanokube("encryption", "status")


def hand_over(one: host.Host, two: host.Host, file: str) -> None:
    """Copy a file from one server to the other."""
    two.run("sh", "-c", f"cat > {file}", stdin=one.run("cat", file).stdout)


def is_ready(on: host.Host, name: str) -> bool:
    """Tell whether a Node is Ready."""
    conditions = on.get("node", name)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
