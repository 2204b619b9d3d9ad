"""A server on etcd: it comes up, survives the death of its etcd, is backed up, restored, and moved to."""

import json

import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root


def create(of: host.Host, name: str, value: str) -> int:
    """Create a ConfigMap; return its version."""
    of.kubectl("create", "configmap", name, f"--from-literal=key={value}")
    return version(of, name)


def version(of: host.Host, name: str) -> int:
    found = json.loads(of.kubectl("get", "configmap", name, "-o", "json"))
    return int(found["metadata"]["resourceVersion"])


def test_a_server_with_an_etcd_of_its_own(bare_host: host.Host) -> None:
    bare_host.up("--etcd")
    before = create(bare_host, "one", "1")
    assert "etcd" in bare_host.nanokube("status")

    for i in range(2):  # the launcher starts it again; nothing is lost, and writes go on
        bare_host.run("kill", "-9", str(bare_host.pid_of("etcd")))
        create(bare_host, f"after-{i}", "1")
    assert version(bare_host, "one") == before

    holders = bare_host.kubectl("get", "leases", "-n", "kube-system", "-o", "name")
    assert "kube-scheduler" in holders
    assert "kube-controller-manager" in holders

    said = bare_host.nanokube("backup", "/run/cluster.backup")
    assert "objects at revision" in said
    bare_host.kubectl("delete", "configmap", "one")
    late = create(bare_host, "late", "1")
    bare_host.nanokube("restore", "--yes", "/run/cluster.backup")
    bare_host.nanokube("up")
    assert version(bare_host, "one") > late
    assert "late" not in bare_host.kubectl("get", "configmaps", "-o", "name")
    create(bare_host, "next", "1")

    bare_host.nanokube("reset", "--yes")
    assert "etcd" not in bare_host.run("ps", "-eo", "args").stdout


def test_a_cluster_moves_from_sqlite_to_etcd(bare_host: host.Host) -> None:
    bare_host.up()
    before = create(bare_host, "one", "1")
    refused = bare_host.run(str(host.NANOKUBE), "store", "migrate", "--to", "etcd", check=False)
    assert "the node runs" in refused.stderr
    bare_host.nanokube("down", "--keep-pods")
    refused = bare_host.run(str(host.NANOKUBE), "up", "--etcd", check=False)
    assert "nanokube store migrate" in refused.stderr
    assert "objects moved" in bare_host.nanokube("store", "migrate", "--to", "etcd")
    bare_host.nanokube("up")
    assert version(bare_host, "one") > before
    assert create(bare_host, "two", "2") > version(bare_host, "one")


def test_backup_and_restore_of_sqlite(bare_host: host.Host) -> None:
    bare_host.up()
    create(bare_host, "one", "1")
    bare_host.nanokube("backup", "/run/cluster.backup")
    bare_host.kubectl("delete", "configmap", "one")
    late = create(bare_host, "late", "1")
    refused = bare_host.run(str(host.NANOKUBE), "restore", "--yes", "/run/cluster.backup", check=False)
    assert "the node runs" in refused.stderr
    bare_host.nanokube("down", "--keep-pods")
    bare_host.run("sh", "-c", "head -c 5000 /run/cluster.backup > /run/cut.backup")
    refused = bare_host.run(str(host.NANOKUBE), "restore", "--yes", "/run/cut.backup", check=False)
    assert "its hash is wrong" in refused.stderr
    bare_host.nanokube("restore", "--yes", "/run/cluster.backup")
    bare_host.nanokube("up")
    assert "late" not in bare_host.kubectl("get", "configmaps", "-o", "name")
    version(bare_host, "one")
    assert create(bare_host, "next", "1") > late
