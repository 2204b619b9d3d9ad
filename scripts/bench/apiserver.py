#!/usr/bin/env python3
"""How fast the API server is, beside kube-apiserver and etcd under the same load: prints a table.

    .venv/bin/python scripts/bench/apiserver.py [--peer DIRECTORY] [--rounds N] [--seconds S] [--cores 1|2]
        [--only ROW...]

DIRECTORY holds the programs `kube-apiserver` and `etcd`. Everything listens on loopback and keeps its state
in a temporary directory; both stores wait for the disk. Rows are interleaved: a row is measured on one
server, then on the other, before the next. With `--rounds N` each row has N turns of S seconds on each
server, every other round in the other order, and the table tells medians of the rounds, their ratios' range
in parentheses, p50 and p99 of all answers together: on a host that drifts, short turns tell more than a long
one. With `--cores 1` (the default) all of a server's processes share one core and the client has the other;
`--cores 2` binds nothing.

A Pod is what a Deployment makes of a container with probes and two volumes: 1.8 KB sent, 5 KB stored with
its status. Requests carry a bearer token and pass RBAC. "CPU" is the time that all of a server's processes
used for a request or an event, without that for connecting watches. Ratios: nanokube's rate to the peer's,
the peer's CPU time to nanokube's. "Promised": the ratio of rates this project has set itself, whether the
median meets it, and in how many rounds. Memory: "filled" with 5,500 Pods; "read", after the rows before the
first CREATE, still with as many; "end" with what each was made to hold, which is more in the faster one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cri.linux import prctl
from nanokube.kit import pki
from scripts.bench import load, turns
from scripts.bench.turns import Turn

SMALL, LARGE = 500, 5000
_RULES = [
    {"apiGroups": [""], "resources": ["pods", "pods/status", "namespaces", "serviceaccounts"], "verbs": ["*"]}
]
_SERVE = """
import asyncio, dataclasses, json, pathlib, sys, uvloop
from nanokube.apiserver.run import ApiServerConfig, run
given = json.loads(sys.argv[1])
paths = {key: pathlib.Path(value) for key, value in given.items() if "/" in str(value)}
uvloop.run(run(ApiServerConfig(**{**given, **paths})))
"""


@dataclass(slots=True)
class Server:
    """A server under measurement: its address and processes."""

    name: str
    target: load.Target
    pids: list[int]
    began: float = 0.0  # CPU time before the row that is being measured
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    memories: dict[str, float] = field(default_factory=dict)

    def cpu(self) -> float:
        """CPU time of its processes so far in seconds, all threads."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def begin(self) -> None:
        """Count CPU time from now on."""
        self.began = self.cpu()

    def measure(self, name: str, row: Row, seconds: float, cpus: frozenset[int]) -> None:
        """Have a turn on a row and note what it showed."""
        self.begin()
        found = row(self, seconds, cpus)
        turn = Turn(found.rate, self.cpu() - self.began, found.latencies, found.errors, found.lost)
        self.turns.setdefault(name, []).append(turn)
        if found.first_error:
            say(f"{found.errors} errors, the first: {found.first_error}")

    def weigh(self, when: str) -> None:
        """Note its memory."""
        self.memories[when] = self.memory()

    def memory(self) -> float:
        """Proportional set size of its processes in MB."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids)
        return (
            sum(int(match[1]) for text in rollups if (match := re.search(r"^Pss: +(\d+)", text, re.M))) / 1024
        )


Row = Callable[[Server, float, frozenset[int]], load.Outcome]


def main() -> None:
    """Start the servers, fill them, measure each row on each and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help="directory with kube-apiserver and etcd")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each server on each row")
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", nargs="+", default=[], help="rows to measure, by the start of their names")
    options = parser.parse_args()
    split = options.cores == 1 and len(os.sched_getaffinity(0)) > 1
    first, *others = sorted(os.sched_getaffinity(0))
    server_cpus, client_cpus = (
        (frozenset({first}), frozenset(others[:1])) if split else (frozenset[int](), frozenset[int]())
    )
    chosen = {
        name: row for name, row in rows().items() if not options.only or name.startswith(tuple(options.only))
    }
    end_once()
    with tempfile.TemporaryDirectory(prefix="nkb-") as scratch, contextlib.ExitStack() as stack:
        files = prepare(Path(scratch))
        servers = [stack.enter_context(nanokube(files, server_cpus))]
        if options.peer:
            servers.append(stack.enter_context(upstream(files, options.peer, server_cpus)))
        for server in servers:
            allow(server.target)
            say(f"{server.name}: {server.memory():.0f} MB before {SMALL + LARGE} Pods are made")
            fill(server, client_cpus)
            server.weigh("memory, filled")
        made = False
        for name, row in chosen.items():
            if name.startswith("CREATE") and not made:  # from here on the faster one holds more Pods
                made = True
                for server in servers:
                    server.weigh("memory, read")
            for number, order in enumerate(turns.orders(servers, options.rounds), 1):
                for server in order:
                    say(f"{name} on {server.name}, round {number} of {options.rounds}")
                    server.measure(name, row, options.seconds, client_cpus)
        for server in servers:
            server.weigh("memory, end")
        show(servers)


def end_once() -> None:
    """Have the first SIGTERM or SIGINT end this program; those behind it do not disturb the cleaning up."""

    def end(number: int, _frame: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        for worker in multiprocessing.active_children():
            worker.terminate()
        sys.exit(128 + number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)


def say(text: str) -> None:
    """Show progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def rows() -> dict[str, Row]:
    """Return what is measured, by name."""
    small, large = pods("small"), pods("large")

    def one(target: load.Target, accept: str = load.JSON) -> load.Requests:
        requests = [
            target.request("GET", f"{small}/pod-{number:06d}", accept=accept) for number in range(SMALL)
        ]
        return lambda: random.choice(requests)

    def loop(source: Callable[[load.Target], load.Requests], connections: int) -> Row:
        return lambda server, seconds, cpus: load.Load(
            server.target, [source(server.target)], connections, seconds, cpus
        ).run()

    def fixed(path: str, accept: str = load.JSON) -> Callable[[load.Target], load.Requests]:
        def source(target: load.Target) -> load.Requests:
            request = target.request("GET", path, accept=accept)
            return lambda: request

        return source

    def fan(watchers: int, writes_a_second: float) -> Row:
        names = [f"pod-{number:06d}" for number in range(SMALL)]
        return lambda server, seconds, cpus: load.Fanout(
            server.target, small, names, watchers, writes_a_second, 1, seconds, cpus, server.begin
        ).run()

    either = f"{load.PROTOBUF},{load.JSON}"
    return {
        "GET, 1 connection": loop(one, 1),
        "GET, 16": loop(one, 16),
        "GET, 16, protobuf preferred": loop(lambda target: one(target, either), 16),
        "LIST 500, 4": loop(fixed(small), 4),
        "LIST 500, 4, protobuf preferred": loop(fixed(small, either), 4),
        "LIST 5000, 2": loop(fixed(large), 2),
        "LIST 5000, 2, protobuf preferred": loop(fixed(large, either), 2),
        "CREATE, 1": loop(creations, 1),
        "CREATE, 16": loop(creations, 16),
        "CREATE, 64": loop(creations, 64),
        "PATCH status, 1": loop(patches, 1),
        "PATCH status, 16": loop(patches, 16),
        "WATCH 100, 20 writes/s": fan(100, 20),
        "WATCH 100, flat out": fan(100, 0),
        "WATCH 1000, 10 writes/s": fan(1000, 10),
        "WATCH 1000, 20 writes/s": fan(1000, 20),
        "WATCH 1000, flat out": fan(1000, 0),
    }


def creations(target: load.Target) -> load.Requests:
    """Return requests that each make another Pod."""
    template = dump(pod("NAME", "made"))
    names = (b'"made-%d"' % number for number in iter(time.monotonic_ns, None))
    return lambda: target.request("POST", pods("made"), template.replace(b'"NAME"', next(names)))


def patches(target: load.Target) -> load.Requests:
    """Return requests that each change some Pod's status."""
    bodies = [dump(status(number)) for number in range(64)]

    def source() -> bytes:
        path = f"{pods('small')}/pod-{random.randrange(SMALL):06d}/status"
        return target.request("PATCH", path, random.choice(bodies), load.STRATEGIC)

    return source


def fill(server: Server, cpus: frozenset[int]) -> None:
    """Make the namespaces and their Pods, each with a status."""
    for namespace, count in (("small", SMALL), ("large", LARGE), ("made", 0)):
        say(f"{server.name}: {count} Pods in namespace {namespace}")
        for path, obj in (
            ("/api/v1/namespaces", {"metadata": {"name": namespace}}),
            (f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}}),
        ):
            code, answer = server.target.call("POST", path, obj)
            assert code == 201, answer
        names = [f"pod-{number:06d}" for number in range(count)]
        body = dump(status(0))
        for requests in (
            [server.target.request("POST", pods(namespace), dump(pod(n, namespace))) for n in names],
            [
                server.target.request("PATCH", f"{pods(namespace)}/{n}/status", body, load.STRATEGIC)
                for n in names
            ],
        ):
            left = iter(requests)
            done = load.Load(server.target, [lambda left=left: next(left, None)], 16, 3600, cpus).run()  # type: ignore[misc]
            assert not done.errors, done.first_error


def dump(obj: object) -> bytes:
    """Write JSON as client-go does, without white space."""
    return json.dumps(obj, separators=(",", ":")).encode()


def pods(namespace: str) -> str:
    """Return the path of a namespace's Pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


def pod(name: str, namespace: str) -> dict[str, object]:
    """Return a Pod as a Deployment's ReplicaSet makes it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app": "web",
                "pod-template-hash": "6d4cf56db6",
                "tier": "frontend",
                "app.kubernetes.io/name": "web",
                "app.kubernetes.io/instance": "web-prod",
            },
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "8080",
                "checksum/config": "5f" * 32,
            },
        },
        "spec": {
            "nodeName": f"node-{zlib.crc32(name.encode()) % 100:03d}",
            "containers": [container()],
            "volumes": [
                {"name": "config", "configMap": {"name": "web-config"}},
                {"name": "cache", "emptyDir": {}},
            ],
            "serviceAccountName": "default",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [
                {"key": "dedicated", "operator": "Equal", "value": "web", "effect": "NoSchedule"}
            ],
        },
    }


def container() -> dict[str, object]:
    """Return the Pod's one container."""
    settings: list[dict[str, object]] = [
        {"name": f"SETTING_{number}", "value": f"value-{number}-of-the-application"} for number in range(3)
    ]
    settings += [
        {"name": env, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for env, path in (("POD_IP", "status.podIP"), ("POD_NAME", "metadata.name"))
    ]
    return {
        "name": "web",
        "image": "registry.example.com/team/web:1.27.3",
        "command": ["/bin/web"],
        "args": ["--listen=:8080", "--log-level=info", "--config=/etc/web/config.yaml"],
        "env": settings,
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/web"},
            {"name": "cache", "mountPath": "/var/cache/web"},
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def status(number: int) -> dict[str, object]:
    """Return a change of status as a kubelet reports it, about 1 KB."""
    now = datetime.fromtimestamp(1_700_000_000 + number, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": "web",
        "ready": True,
        "started": True,
        "restartCount": number % 7,
        "image": "registry.example.com/team/web:1.27.3",
        "imageID": f"registry.example.com/team/web@sha256:{'ab' * 32}",
        "containerID": f"containerd://{'cd' * 32}",
        "lastState": {},
        "state": {"running": {"startedAt": now}},
    }
    return {
        "status": {
            "phase": "Running",
            "hostIP": "10.0.0.7",
            "hostIPs": [{"ip": "10.0.0.7"}],
            "podIP": "10.244.1.7",
            "podIPs": [{"ip": "10.244.1.7"}],
            "startTime": now,
            "qosClass": "Burstable",
            "conditions": [
                {"type": each, "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
                for each in types
            ],
            "containerStatuses": [container],
        }
    }


def allow(target: load.Target) -> None:
    """Let the load's user do what it needs, by RBAC."""
    admin = load.Target(target.port, target.ca, "admin")
    group = "/apis/rbac.authorization.k8s.io/v1"
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "loaders"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "loaders"}
    for path, obj in (
        ("clusterroles", {"metadata": {"name": "loaders"}, "rules": _RULES}),
        ("clusterrolebindings", {"metadata": {"name": "loaders"}, "roleRef": role, "subjects": [subject]}),
    ):
        code, answer = admin.call("POST", f"{group}/{path}", obj)
        assert code == 201, answer


def prepare(scratch: Path) -> Path:
    """Write certificates, keys and tokens for both servers; return their directory."""
    now = datetime.now(UTC)
    authority = pki.Authority.create("bench", now)
    serving = authority.issue(pki.Subject("kube-apiserver", names=("127.0.0.1", "kubernetes")), now)
    signing = pki.signing_pair()
    for name, content in (
        ("ca.crt", authority.pair.certificate),
        ("api.crt", serving.certificate),
        ("api.key", serving.key),
        ("sa.pub", signing.certificate),
        ("sa.key", signing.key),
        ("tokens.csv", b'admin,admin,1,"system:masters"\nloader,loader,2,"loaders"\n'),
    ):
        (scratch / name).write_bytes(content)
    return scratch


@contextlib.contextmanager
def nanokube(files: Path, cpus: frozenset[int]) -> Iterator[Server]:
    """Run our API server on SQLite."""
    port = free_port()
    config = {
        "advertise_address": "192.0.2.1",
        "bind_address": "127.0.0.1",
        "port": port,
        "store": str(files / "state.db"),
        "tls_cert": str(files / "api.crt"),
        "tls_key": str(files / "api.key"),
        "client_ca": str(files / "ca.crt"),
        "service_account_public_key": str(files / "sa.pub"),
        "service_account_private_key": str(files / "sa.key"),
        "token_file": str(files / "tokens.csv"),
    }
    with process(files / "nanokube.log", cpus, sys.executable, "-c", _SERVE, json.dumps(config)) as pid:
        yield ready("nanokube", load.Target(port, files / "ca.crt", "loader"), [pid])


@contextlib.contextmanager
def upstream(files: Path, programs: Path, cpus: frozenset[int]) -> Iterator[Server]:
    """Run kube-apiserver on etcd, with the settings of kubeadm as far as they concern speed."""
    port, client, peer = free_port(), free_port(), free_port()
    store, others = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    etcd = [str(programs / "etcd"), f"--data-dir={files / 'etcd'}", f"--listen-client-urls={store}"]
    etcd += [f"--advertise-client-urls={store}", f"--listen-peer-urls={others}"]
    etcd += [f"--initial-advertise-peer-urls={others}", f"--initial-cluster=default={others}"]
    command = [str(programs / "kube-apiserver"), f"--etcd-servers={store}", f"--secure-port={port}"]
    command += ["--bind-address=127.0.0.1", "--advertise-address=192.0.2.2", f"--cert-dir={files}"]
    command += [f"--tls-cert-file={files / 'api.crt'}", f"--tls-private-key-file={files / 'api.key'}"]
    command += [f"--client-ca-file={files / 'ca.crt'}", f"--token-auth-file={files / 'tokens.csv'}"]
    command += ["--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.97.0.0/16"]
    command += ["--service-account-issuer=https://kubernetes.default.svc.cluster.local"]
    command += [f"--service-account-signing-key-file={files / 'sa.key'}"]
    command += [f"--service-account-key-file={files / 'sa.pub'}", "--allow-privileged=true"]
    with (
        process(files / "etcd.log", cpus, *etcd) as first,
        process(files / "kube-apiserver.log", cpus, *command) as second,
    ):
        yield ready("kube-apiserver+etcd", load.Target(port, files / "ca.crt", "loader"), [first, second])


@contextlib.contextmanager
def process(output: Path, cpus: frozenset[int], *command: str) -> Iterator[int]:
    """Run a program until the end of the block; if it has ended before, show what it wrote.

    It does not outlive this program, whatever ends that. Ctrl-C is for this program, which ends the others.
    """

    def prepare() -> None:
        prctl.set_parent_death_signal(signal.SIGKILL)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        if cpus:
            os.sched_setaffinity(0, cpus)

    with output.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=prepare, start_new_session=True)
    try:
        yield child.pid
    finally:
        if child.poll() is not None:
            say(f"{command[0]} ended with {child.returncode}:\n{output.read_text()[-2000:]}")
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def ready(name: str, target: load.Target, pids: list[int]) -> Server:
    """Wait until the server says that it is ready."""
    say(f"{name}: starting")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ssl.SSLError):
            if load.Target(target.port, target.ca, "admin").call("GET", "/readyz")[0] == 200:
                return Server(name, target, pids)
        time.sleep(0.1)
    raise SystemExit(f"{name} is not ready after 60 s")


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show(servers: list[Server]) -> None:
    """Print a line for each row: rate, p50/p99 in ms, CPU ms of each; ratios of rates and of CPU time."""
    print("Cells: answers (or events) a second; p50/p99 in ms; CPU ms for each.\n")
    rows = {name: [server.turns[name] for server in servers] for name in servers[0].turns}
    print("\n".join(turns.table(rows, [server.name for server in servers])), end="\n\n")
    titles = ["PSS in MB", *(server.name for server in servers), *(["ratio"] if len(servers) > 1 else [])]
    lines = []
    for when in servers[0].memories:
        memory = [server.memories[when] for server in servers]
        ratio = [f"{memory[0] / memory[1]:.2f}"] if len(servers) > 1 else []
        lines.append([when, *(f"{each:.0f}" for each in memory), *ratio])
    print("\n".join(turns.markdown([titles, *lines])))


if __name__ == "__main__":
    main()
