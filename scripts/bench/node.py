#!/usr/bin/env python3
"""How fast a node is and how little it needs, against what nanokube promises: prints one line a figure.

    sudo .venv/bin/python scripts/bench/node.py [--pods N] [--idle SECONDS]

Runs on a host of its own (namespaces, as the root tests), so it disturbs no cluster of yours. Figures:

    up to Ready       `nanokube up` on an installed host, process start to Node Ready, of 3 runs
    apply to Running  POST of a Pod whose image is there, to phase Running seen by a watch, one at a time
    idle memory       proportional set size of all of the node's processes, one Deployment of 2 Pods running
    idle CPU          share of one core of the same processes
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from tests.root.cluster import conftest, host, test_kubectl

CLOCK_TICKS = 100  # USER_HZ, proc(5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=30)
    parser.add_argument("--idle", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, host.new(Path(scratch), "bench") as on:
        on.up()
        conftest.import_demo_image(on)
        show("up to Ready", starts(on), "s", 3.0)
        show("apply to Running", latencies(on, options.pods), "ms", 300.0)
        apply(on, test_kubectl.deployment("web"))
        on.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        time.sleep(5)
        cpu, memory = idle(on, options.idle)
        show("idle memory (PSS)", [memory], "MB", 300.0)
        show("idle CPU", [cpu], "% of a core", 2.0)


def show(name: str, samples: list[float], unit: str, promised: float) -> None:
    """Print one figure beside its promise."""
    middle = statistics.median(samples)
    spread = f"min {min(samples):.1f} max {max(samples):.1f} n={len(samples)}" if len(samples) > 1 else ""
    verdict = "ok" if middle <= promised else "MISSED"
    print(f"{name:<20} {middle:8.1f} {unit:<12} promised {promised:6.1f}  {verdict:<7} {spread}", flush=True)


def starts(on: host.Host) -> list[float]:
    """Stop and start the node three times."""
    samples = []
    for _run in range(3):
        on.nanokube("down")
        began = time.monotonic()
        on.up()
        samples.append(time.monotonic() - began)
    return samples


def apply(on: host.Host, obj: object) -> None:
    """Apply one object."""
    on.kubectl("apply", "-f", "-", stdin=json.dumps(obj))


WATCHER = """
import http.client, json, ssl, sys, threading, time
pods = int(sys.argv[1]); template = json.loads(sys.argv[2])
context = ssl.create_default_context(cafile="/etc/nanokube/pki/ca.crt")
context.load_cert_chain("/etc/nanokube/pki/admin.crt", "/etc/nanokube/pki/admin.key")
connect = lambda: http.client.HTTPSConnection("127.0.0.1", 6443, context=context)
seen, news = {}, threading.Condition()
def watch():
    connection = connect(); connection.request("GET", "/api/v1/namespaces/default/pods?watch=true")
    for line in connection.getresponse():
        pod = json.loads(line)["object"]
        if pod.get("status", {}).get("phase") == "Running":
            with news:
                seen.setdefault(pod["metadata"]["name"], time.monotonic()); news.notify()
threading.Thread(target=watch, daemon=True).start()
time.sleep(0.5)
writer = connect()
def call(method, path, body=None):
    writer.request(method, path, body=body and json.dumps(body), headers={"Content-Type": "application/json"})
    answer = writer.getresponse(); text = answer.read(); assert answer.status < 300, text
for number in range(pods):
    name = template["metadata"]["name"] = f"bench-{number}"
    began = time.monotonic()
    call("POST", "/api/v1/namespaces/default/pods", template)
    with news:
        assert news.wait_for(lambda: name in seen, 30), name
    print((seen[name] - began) * 1000, flush=True)
    call("DELETE", f"/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")
    time.sleep(0.3)
"""


def latencies(on: host.Host, pods: int) -> list[float]:
    """Create Pods one after the other on the otherwise idle node; milliseconds each."""
    template = test_kubectl.pod("bench", "sleep", "60")
    python = str(host.NANOKUBE.with_name("python"))
    done = on.run(python, "-c", WATCHER, str(pods), json.dumps(template), timeout_s=30 + 5 * pods)
    return [float(line) for line in done.stdout.split()]


def idle(on: host.Host, seconds: float) -> tuple[float, float]:
    """Return (percent of a core, MB of PSS) of the node's processes while nothing happens."""
    before = {pid: ticks(on, pid) for pid in processes(on)}
    time.sleep(seconds)
    after = {pid: ticks(on, pid) for pid in before}
    spent = sum(after[pid] - before[pid] for pid in before) / CLOCK_TICKS
    return 100 * spent / seconds, sum(pss_mb(on, pid) for pid in before)


def processes(on: host.Host) -> list[int]:
    """Return the pids of everything that is the node's own: components and runtime, no containers."""
    launcher = int(on.run("cat", "/run/nanokube/node.pid").stdout)
    keeper = on.pid_of("cri")

    def children(pid: int) -> list[int]:
        return [int(each) for each in on.run("cat", f"/proc/{pid}/task/{pid}/children").stdout.split()]

    return sorted({launcher, keeper, *children(launcher), *children(keeper)})


def ticks(on: host.Host, pid: int) -> int:
    """Return the CPU time of a process in clock ticks."""
    fields = on.run("cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pss_mb(on: host.Host, pid: int) -> float:
    """Return the proportional set size of a process."""
    lines = on.run("cat", f"/proc/{pid}/smaps_rollup").stdout.splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
