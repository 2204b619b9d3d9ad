"""Compare the stores: writes a second by 1 and by 50 writers, and how long after its write a watch is told.

Usage: python -m scripts.bench.store [--seconds 2] [--etcd BINARY]
etcd runs on this host with its data in the same temporary directory as SQLite's, both with an fsync a commit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Event, Store

VALUE = b"x" * 2000
PORTS = (23790, 23800)


async def measure(store: Store, seconds: float) -> dict[str, float]:
    """Return writes a second, by writers, and the watch's delay (ms, median) with one writer."""
    told: dict[int, float] = {}

    def deliver(batch: Sequence[Event]) -> None:
        told.update(dict.fromkeys((e.revision for e in batch), time.perf_counter()))

    watch = await store.watch("/", store.revision, deliver)
    found = {}
    for writers in (1, 50):
        sent: dict[int, float] = {}
        await asyncio.gather(*(_write(store, f"/{writers}/{i}", seconds, sent) for i in range(writers)))
        found[f"writes/s, {writers}"] = len(sent) / seconds
        if writers == 1:
            delays = [told[revision] - began for revision, began in sent.items() if revision in told]
            found["watch, ms"] = statistics.median(delays) * 1000
    watch.cancel()
    return found


async def _write(store: Store, prefix: str, seconds: float, sent: dict[int, float]) -> None:
    ends, n = time.perf_counter() + seconds, 0
    while (began := time.perf_counter()) < ends:
        sent[await store.put(f"{prefix}/{n}", VALUE, expect=0)] = began
        n += 1


async def compare(directory: Path, seconds: float) -> None:
    """Print both and their ratio."""
    store = await SqliteStore.open(directory / "s.db")
    sqlite = await measure(store, seconds)
    await store.close()
    async with etcd_store.opened(EtcdSettings((f"127.0.0.1:{PORTS[0]}",))) as shared:
        etcd = await measure(shared, seconds)
    sys.stdout.write(f"{'':14}{'SQLite':>10}{'etcd':>10}{'ratio':>8}\n")
    for name in sqlite:
        ratio = sqlite[name] / etcd[name]
        sys.stdout.write(f"{name:14}{sqlite[name]:10.2f}{etcd[name]:10.2f}{ratio:8.2f}\n")


def main() -> int:
    """Run etcd beside, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--etcd", default="etcd")
    options = parser.parse_args()
    client, peer = (f"http://127.0.0.1:{port}" for port in PORTS)
    with tempfile.TemporaryDirectory() as name:
        command = [
            options.etcd, "-name", "a", "-data-dir", f"{name}/etcd", "-log-level", "error",
            "-listen-client-urls", client, "-advertise-client-urls", client,
            "-listen-peer-urls", peer, "-initial-advertise-peer-urls", peer, "-initial-cluster", f"a={peer}",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            uvloop.run(compare(Path(name), options.seconds))
        finally:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
