"""Hosts join, leave and come back; what cannot join is told why, and nothing of it stays."""

import base64
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import conftest, host, test_reset

pytestmark = pytest.mark.root

WORKER = "192.0.2.11"


@pytest.fixture(scope="module")
def lan() -> Iterator[host.Lan]:
    with host.lan() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, lan: host.Lan) -> Iterator[host.Host]:
    """A running server on the network."""
    with host.new(tmp_path_factory.mktemp("server"), "server", on=lan) as made:
        made.up()
        yield made
        print(made.logs())


@pytest.fixture
def worker(tmp_path: Path, lan: host.Lan) -> Iterator[host.Host]:
    """A host on the network on which nothing was started yet."""
    with host.new(tmp_path, "worker", WORKER, lan) as made:
        yield made
        print(made.run("sh", "-c", "tail -n 100 /var/log/nanokube/*.log", check=False).stdout)


def line(server: host.Host, *options: str) -> list[str]:
    """Return the arguments of the join line that a new token's creation prints."""
    printed = server.run(str(host.NANOKUBE), "token", "create", *options).stdout
    sudo, nanokube, join, *arguments = shlex.split(printed)
    assert (sudo, nanokube, join) == ("sudo", "nanokube", "join")
    return arguments


def join(on: host.Host, arguments: list[str], *options: str, check: bool = True) -> str:
    return on.nanokube("join", *arguments, "--cgroup-root", on.cgroup_root, *options, check=check)


def local_pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": demo_image.REFERENCE,
        "command": ["sh", "-c", "echo said; exec sleep 1000"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def test_a_worker_joins_runs_pods_and_leaves(server: host.Host, worker: host.Host) -> None:
    worker.run("nft", "list", "tables")
    before = test_reset.facts(worker)
    printed = join(worker, line(server))
    assert "Node worker (192.0.2.11) is Ready" in printed
    assert server.get("node", "worker")["spec"]["podCIDR"] == "10.244.1.0/24"
    assert "worker of https://192.0.2.10:6443" in worker.nanokube("status")
    assert "is Node worker of https://192.0.2.10:6443 already" in join(worker, line(server))
    assert "this host is a worker" in worker.nanokube("token", "create", check=False)

    conftest.import_demo_image(worker)
    server.kubectl("apply", "-f", "-", stdin=json.dumps(local_pod("there", "worker")))
    server.kubectl("wait", "--for=condition=Ready", "pod/there", "--timeout=50s")
    assert server.kubectl("exec", "there", "--", "cat", "/proc/sys/kernel/hostname") == "there\n"
    assert "said" in server.kubectl("logs", "there")
    projected = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    token = server.kubectl("exec", "there", "--", "cat", projected)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["kubernetes.io"]
    assert (claims["pod"]["name"], claims["node"]["name"]) == ("there", "worker")

    serving_is_renewed_without_a_restart(server, worker)

    server.kubectl("delete", "pod", "there")
    a_volume_is_where_its_pod_is(server, worker)
    worker.nanokube("reset", "--yes")
    assert "worker" not in server.kubectl("get", "nodes", "-o", "name")
    after = test_reset.facts(worker)
    for name, lines in before.items():
        assert after[name] == lines, name

    printed = join(worker, line(server))
    assert "is Ready" in printed, "a host that left may join again"
    worker.nanokube("down")
    assert "worker of:  https://192.0.2.10:6443" in worker.nanokube("up")
    worker.nanokube("reset", "--yes")


def a_volume_is_where_its_pod_is(server: host.Host, worker: host.Host) -> None:
    size = {"requests": {"storage": "1Mi"}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "far"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": size},
    }
    pod = local_pod("user", "", nodeSelector={"kubernetes.io/hostname": "worker"})
    del pod["spec"]["nodeName"]
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "far"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    server.kubectl("apply", "-f", "-", stdin=json.dumps(claim) + json.dumps(pod))
    server.kubectl("wait", "--for=condition=Ready", "pod/user", "--timeout=50s")
    server.kubectl("exec", "user", "--", "touch", "/data/here")
    found = worker.run("sh", "-c", "ls /var/lib/nanokube/volumes/*").stdout
    assert found == "here\n"
    server.kubectl("delete", "pod/user", "pvc/far", "--timeout=50s")
    host.wait_for(lambda: not server.get("pv")["items"], what="the volume gone")
    assert worker.run("ls", "-A", "/var/lib/nanokube/volumes").stdout == ""


def serving_is_renewed_without_a_restart(server: host.Host, worker: host.Host) -> None:
    agent, shown = worker.pid_of("agent"), certificate_of(server, WORKER, 10250)
    assert "renewed kubelet-client\nrenewed kubelet-serving" in worker.nanokube("certs", "renew")
    host.wait_for(lambda: certificate_of(server, WORKER, 10250) != shown, what="the new certificate")
    assert worker.pid_of("agent") == agent
    server.kubectl("logs", "there")


def certificate_of(on: host.Host, address: str, port: int) -> str:
    """Return the certificate that a server shows."""
    script = f"import ssl; print(ssl.get_server_certificate(('{address}', {port})))"
    return on.run("python3", "-c", script).stdout


def test_a_servers_certificates_are_renewed_without_a_restart(server: host.Host) -> None:
    pids = [server.pid_of(each) for each in ("apiserver", "agent", "manager")]
    shown = certificate_of(server, "127.0.0.1", 6443), certificate_of(server, "127.0.0.1", 10250)
    assert "renewed admin.conf" in server.nanokube("certs", "renew")
    host.wait_for(lambda: certificate_of(server, "127.0.0.1", 6443) != shown[0], what="the API server's")
    host.wait_for(lambda: certificate_of(server, "127.0.0.1", 10250) != shown[1], what="the kubelet's")
    assert server.get("node", "server")["metadata"]["name"] == "server"
    for part in ("agent", "manager"):
        log = server.run("cat", f"/var/log/nanokube/{part}.log").stdout
        assert "credentials taken" in log, part
    assert [server.pid_of(each) for each in ("apiserver", "agent", "manager")] == pids
    assert "apiserver-kubelet-client" in server.nanokube("certs")


def wrong(arguments: list[str], **changes: str) -> list[str]:
    """Change options, or the server's address, of a join line."""
    server = changes.pop("server", arguments[0])
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return [server, *(part for pair in options.items() for part in pair)]


def test_what_cannot_join_is_told_why_and_leaves_nothing(server: host.Host, worker: host.Host) -> None:
    worker.run("nft", "list", "tables")
    good = line(server)
    token = good[2]
    expired = line(server, "--ttl", "1s")
    taken = [*good, "--node-name", "server"]
    before = test_reset.facts(worker)
    cases = [
        (wrong(good, token="zzzzzz" + token[6:]), "unknown to the cluster, or has expired", "token create"),
        (wrong(good, token=token[:7] + "x" * 16), "the second part of token", "copy the whole line"),
        (wrong(good, token="word"), "the token is not", "copy the whole line"),
        (wrong(good, ca_hash="sha256:" + "0" * 64), "is not the one of --ca-hash", "copy the whole line"),
        (expired, "unknown to the cluster, or has expired", "token create"),
        (taken, "the name server is taken by a Node that is Ready", "--node-name"),
        (wrong(good, server="https://192.0.2.10:7443"), "nothing listens at 192.0.2.10:7443", "status"),
        (wrong(good, server="https://192.0.2.10:10250"), "tells of no cluster", "copy the whole line"),
        (wrong(good, server="https://192.0.2.77:6443"), "no route to 192.0.2.77:6443", "ip route get"),
        (
            wrong(good, server="https://[2001:db8::1]:6443"),
            "this host has no IPv6 address to reach",
            "IPv4 address",
        ),
        (wrong(good, server="https://127.0.0.1:6443"), "nothing listens at 127.0.0.1:6443", "status"),
        (wrong(good, server="https://nowhere.invalid"), "no host is called nowhere.invalid", "address"),
    ]
    host.wait_for(lambda: expired[2][:6] not in server.nanokube("token", "list"), what="the token's end")
    for arguments, cause, remedy in cases:
        said = refused(worker, arguments)
        assert cause in said[0], said
        assert remedy in said[1], said
    assert test_reset.facts(worker) == before
    a_port_that_is_taken_is_named(worker, good)
    a_full_disk_is_named(worker, good)
    worker.run("rm", "-rf", "/run/mount")  # mount(8)'s
    assert test_reset.facts(worker) == before
    assert "worker" not in server.kubectl("get", "nodes", "-o", "name")


def a_port_that_is_taken_is_named(worker: host.Host, good: list[str]) -> None:
    script = (
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 6444)); s.listen(); time.sleep(60)"
    )
    with worker.running("python3", "-c", script):
        host.wait_for(lambda: "6444" in worker.run("ss", "-ltn").stdout, what="the listener")
        done = worker.run(str(host.NANOKUBE), "join", *good, "--cgroup-root", worker.cgroup_root, check=False)
    assert "ports: in use: 6444" in done.stderr
    assert "--balancer-port" in done.stderr


def a_full_disk_is_named(worker: host.Host, good: list[str]) -> None:
    place = "/etc/nanokube"
    fill = f"mkdir {place}; mount -t tmpfs -o size=4k t {place}; head -c 4096 /dev/zero >{place}/x"
    worker.run("sh", "-ec", fill)
    done = worker.run(str(host.NANOKUBE), "join", *good, "--cgroup-root", worker.cgroup_root, check=False)
    worker.run("sh", "-ec", f"umount {place}; rmdir {place}")
    said = done.stderr.strip().splitlines()
    assert said == [
        "nanokube: cannot join: /etc/nanokube/pki/ca.crt: No space left on device",
        "hint: free some space there",
    ]


def refused(worker: host.Host, arguments: list[str]) -> list[str]:
    """Join, which must fail; return what it said: cause and hint."""
    done = worker.run(
        str(host.NANOKUBE), "join", *arguments, "--cgroup-root", worker.cgroup_root, check=False, timeout_s=30
    )
    assert done.returncode == 1, done.stdout
    said = done.stderr.strip().splitlines()
    assert len(said) == 2, said
    return said


def test_an_address_that_another_node_has_is_refused(
    server: host.Host, lan: host.Lan, tmp_path: Path
) -> None:
    """As in Vagrant, where every machine's first address is the same."""
    other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(other))
    status = {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.2.15"}]}}
    server.kubectl("patch", "node", "other", "--subresource=status", "-p", json.dumps(status))
    with host.new(tmp_path, "twin", "192.0.2.12", lan) as twin:
        twin.run("ip", "link", "add", "nat", "type", "bridge")
        twin.run("ip", "addr", "add", "10.0.2.15/24", "dev", "nat")
        twin.run("ip", "link", "set", "nat", "up")
        said = refused(twin, [*line(server), "--node-ip", "10.0.2.15"])
        assert said[0] == "nanokube: the address 10.0.2.15 is taken by Node other"
        assert "--node-ip" in said[1]
        said = refused(twin, [*line(server), "--node-ip", "10.0.2.16"])
        assert "10.0.2.16 is not an address of this host" in said[0]
        assert "Node twin (192.0.2.12) is Ready" in join(twin, line(server)), (
            "the address that reaches the server"
        )
        twin.nanokube("reset", "--yes")
    server.kubectl("delete", "node", "other")


def test_a_host_that_comes_back_with_nothing_takes_its_old_place(
    server: host.Host, lan: host.Lan, tmp_path: Path
) -> None:
    """Its Node is there but not Ready: the host was made anew."""
    ghost = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "phoenix"}}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(ghost))
    with host.new(tmp_path, "phoenix", "192.0.2.14", lan) as phoenix:
        assert "Node phoenix (192.0.2.14) is Ready" in join(phoenix, line(server))
        phoenix.nanokube("reset", "--yes")


def test_a_host_without_ipv4_is_told_so(server: host.Host, lan: host.Lan, tmp_path: Path) -> None:
    with host.new(tmp_path, "six", "192.0.2.13", lan) as six:
        six.run("ip", "addr", "flush", "dev", "eth0")
        said = refused(six, line(server))
        assert "this host has no IPv4 address to reach 192.0.2.10:6443 from" in said[0]
