"""Three servers, three workers, fifty clients: a server is killed, another cut off, and no write is lost.

NANOKUBE_SEED chooses who and when; NANOKUBE_ROUNDS repeats it (1 in CI). Which writes meet which moment is
the machine's, so a seed repeats the faults, not every interleaving.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanokube.lab import cluster, control, faults, place
from nanokube.roles import etcd
from tests.root.cluster import host
from tests.root.lab import conftest, history, writers

pytestmark = pytest.mark.root

CLIENTS = 50
RESUME_S = 5.0  # issue: writes resume within 5 s
FAULT_S = 6.0  # longer than writes may need to resume
SEED = int(os.environ.get("NANOKUBE_SEED", "1"))
ROUNDS = int(os.environ.get("NANOKUBE_ROUNDS", "1"))
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[place.Lab]:
    etcd.ensure_program()
    with conftest.lab(tmp_path_factory.mktemp("lab"), servers=3, workers=3) as made:
        host.wait_for(lambda: all(servers_known(made, n.name) == 3 for n in workers(made)), 30, "servers")
        yield made


def workers(lab: place.Lab) -> list[place.Node]:
    return [node for node in lab.nodes if node.role == place.WORKER]


def servers_known(lab: place.Lab, worker: str) -> int:
    text = control.run(lab, worker, ["cat", "/var/lib/nanokube/servers.json"], check=False).stdout
    return len(json.loads(text or "[]"))


def kubectl(lab: place.Lab, *arguments: str, stdin: str = "") -> str:
    return control.run(lab, control.server_of(lab).name, [host.kubectl(), *arguments], stdin=stdin).stdout


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_write_is_lost_when_servers_die_and_are_cut_off(
    lab: place.Lab, tmp_path: Path, number: int
) -> None:
    draw = random.Random(f"{SEED}.{number}")
    names = [node.name for node in lab.nodes if node.role == place.SERVER]
    for key in writers.LISTS:
        empty = kubectl(
            lab, *("create", "configmap", key, "--from-literal=tokens=", "--dry-run=client", "-o", "json")
        )
        kubectl(lab, "apply", "-f", "-", stdin=empty)
    began = time.monotonic()
    clients = start_writers(lab, tmp_path, f"r{number}")
    try:
        time.sleep(2 + draw.random())
        dead = draw.choice(names)
        print(f"{time.monotonic() - began:.1f} s: {dead} is killed")
        control.power(lab, dead, on=False)
        time.sleep(FAULT_S)
        cluster.resume(lab, dead)
        print(f"{time.monotonic() - began:.1f} s: {dead} is back")
        time.sleep(2 + draw.random())
        cut = draw.choice(names)
        print(f"{time.monotonic() - began:.1f} s: {cut} is cut off")
        others = [node.name for node in lab.nodes if node.name != cut]
        faults.inject(lab, faults.cut(lab, {}, [cut], others))
        time.sleep(FAULT_S)
        faults.inject(lab, {})
        print(f"{time.monotonic() - began:.1f} s: healed")
        time.sleep(2)
        (tmp_path / "stop").touch()
        for process in clients:
            assert process.wait(90) == 0
    finally:
        for process in clients:
            process.kill()
            process.wait()
    judge(lab, read(tmp_path))


def start_writers(lab: place.Lab, directory: Path, seed: str) -> list[subprocess.Popen[bytes]]:
    """Start the clients, spread over the workers: each reaches the servers through its node's agent."""
    found = control.run(lab, lab.nodes[0].name, ["cat", "/etc/nanokube/admin.conf"]).stdout
    kubeconfig = directory / "admin.conf"
    kubeconfig.write_text(found.replace("https://127.0.0.1:6443", "https://127.0.0.1:6444"))
    started = []
    for i, node in enumerate(workers(lab)):
        share = CLIENTS // 3 + (i < CLIENTS % 3)
        out = directory / f"writes-{node.name}.json"
        command = [sys.executable, "-m", "tests.root.lab.writers"]
        options = [str(kubeconfig), f"{seed}{node.name}", str(share), str(directory / "stop"), str(out)]
        enter = [*control.enter(lab, node.name), "env", "-C", str(ROOT), f"PYTHONPATH={ROOT}"]
        started.append(subprocess.Popen([*enter, *command, *options]))
    return started


def read(directory: Path) -> list[history.Write]:
    return [
        history.Write(**each)
        for file in directory.glob("writes-*.json")
        for each in json.loads(file.read_text())
    ]


def judge(lab: place.Lab, writes: list[history.Write]) -> None:
    """Compare what the clients saw with what is there."""
    items = json.loads(kubectl(lab, "get", "configmaps", "-o", "json"))["items"]
    data = {each["metadata"]["name"]: each.get("data") or {} for each in items}
    lists = {key: data[key].get("tokens", "").split() for key in writers.LISTS}
    made = {name: of["token"] for name, of in data.items() if name.startswith("own-")}
    counts = {
        outcome: sum(w.outcome == outcome for w in writes) for outcome in ("done", "refused", "unknown")
    }
    first = min(w.ended for w in writes if w.outcome == "done")
    gap = history.longest_gap(writes, first, max(w.ended for w in writes))
    of_worker = [
        history.longest_gap([w for w in writes if node.name in w.token], first, max(w.ended for w in writes))
        for node in workers(lab)
    ]
    print(f"writes: {counts}; longest without one: {gap:.2f} s, through one worker: {max(of_worker):.2f} s")
    assert counts["done"] > 500
    assert history.problems(writes, lists, made) == []
    assert gap < RESUME_S
