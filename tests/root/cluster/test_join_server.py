"""A further server joins with its own etcd member, serves, and leaves."""

import shlex
from pathlib import Path

import pytest

from nanokube.roles import etcd
from tests.root.cluster import host

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.10", "192.0.2.11"), ("2001:db8::10", "2001:db8::11")],
    ids=["ipv4", "ipv6"],
)
def test_a_second_server_joins_serves_and_leaves(tmp_path: Path, first: str, second: str) -> None:
    etcd.ensure_program()
    with (
        host.lan() as lan,
        host.new(tmp_path / "one", "one", first, lan) as one,
        host.new(tmp_path / "two", "two", second, lan) as two,
    ):
        one.up("--etcd")
        arguments = shlex.split(one.nanokube("token", "create", "--control-plane").strip())[3:]
        wrong = [*arguments[:-1], "0" * 64]
        said = two.nanokube("join", *wrong, "--cgroup-root", two.cgroup_root, check=False)
        assert "the certificate key is wrong" in said
        assert two.run("ls", "/etc/nanokube", check=False).returncode != 0

        said = two.nanokube("join", *arguments, "--cgroup-root", two.cgroup_root)
        assert f"Node two ({second}) is Ready" in said
        names = {node["metadata"]["name"] for node in two.get("nodes")["items"]}
        assert names == {"one", "two"}
        host.wait_for(lambda: addresses(two) == [first, second], what="both endpoints")

        two.nanokube("reset", "--yes")
        assert [node["metadata"]["name"] for node in one.get("nodes")["items"]] == ["one"]
        host.wait_for(lambda: addresses(one) == [first], 40, "one endpoint")


def addresses(on: host.Host) -> list[str]:
    """Return the endpoints of Service kubernetes."""
    found = on.get("endpoints", "kubernetes")["subsets"]
    return [each["ip"] for subset in found for each in subset["addresses"]]
