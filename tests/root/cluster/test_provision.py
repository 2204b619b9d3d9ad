"""scripts/provision makes machines a cluster by a token that they were told beforehand."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.root.cluster import host

pytestmark = pytest.mark.root

TOKEN, KEY = "abcdef.0123456789abcdef", "ab" * 32
SERVER, WORKER = "192.0.2.10", "192.0.2.11"


@pytest.fixture
def lan() -> Iterator[host.Lan]:
    with host.lan() as made:
        yield made


def checkout(place: Path, cgroup_root: str) -> Path:
    """Make a checkout whose `nanokube` gives test hosts, which share the machine's cgroups, their own."""
    (place / ".venv/bin").mkdir(parents=True)
    (place / "scripts").mkdir()
    (place / "scripts/vm").symlink_to(host.ROOT / "scripts/vm")
    wrapper = (
        f'verb=$1; shift\ncase $verb in up | join) set -- "$@" --cgroup-root {cgroup_root} ;; esac\n'
        f'exec {shlex.quote(str(host.NANOKUBE))} "$verb" "$@"'
    )
    for name, text in {
        "scripts/install": "exit 0",
        ".venv/bin/python": f'exec {shlex.quote(sys.executable)} "$@"',
        ".venv/bin/nanokube": wrapper,
    }.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    return place


def provision(on: host.Host, place: Path, *arguments: str, token: str = TOKEN, check: bool = True) -> str:
    environment = [f"NANOKUBE_CHECKOUT={place}", f"NANOKUBE_TOKEN={token}", f"NANOKUBE_CERTIFICATE_KEY={KEY}"]
    command = ["env", *environment, "NANOKUBE_WAIT_S=2", str(host.ROOT / "scripts/provision"), *arguments]
    done = on.run(*command, timeout_s=120, check=check)
    return done.stdout + done.stderr


def test_machines_become_a_cluster(tmp_path: Path, lan: host.Lan) -> None:
    with (
        host.new(tmp_path / "s", "server", SERVER, lan) as server,
        host.new(tmp_path / "w", "worker", WORKER, lan) as worker,
    ):
        on_server = checkout(tmp_path / "on-server", server.cgroup_root)
        on_worker = checkout(tmp_path / "on-worker", worker.cgroup_root)
        as_worker = ("worker", "--address", WORKER, "--server", SERVER)
        assert "hint: is the first server provisioned" in provision(
            worker, on_worker, *as_worker, check=False
        )

        provision(server, on_server, "server", "--address", SERVER)
        said = provision(worker, on_worker, *as_worker, token="abcdef.xxxxxxxxxxxxxxxx", check=False)
        assert "the second part of token abcdef is wrong" in said
        assert TOKEN not in provision(worker, on_worker, *as_worker)
        nodes = server.get("nodes")["items"]
        assert {each["status"]["addresses"][0]["address"] for each in nodes} == {SERVER, WORKER}

        provision(server, on_server, "server", "--address", SERVER)
        assert "joined already" in provision(worker, on_worker, *as_worker)
        assert server.nanokube("token", "list").count("abcdef") == 1


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with host.new(tmp_path / "s", "server") as server:
        place = checkout(tmp_path / "checkout", server.cgroup_root)
        assert "--address is missing" in provision(server, place, "server", check=False)
        assert "the first argument is a role" in provision(server, place, "boss", check=False)
        assert "--server is missing" in provision(server, place, "worker", "--address", SERVER, check=False)
