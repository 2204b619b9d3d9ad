"""How a server bears idle peers: opens many TLS connections, then measures GETs, memory, and newcomers.

.venv/bin/python -m scripts.fuzz.idle [--count N] [--slow]

`--slow`: each peer sends one byte of a request each second instead of nothing. Everything is on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nanokube.kit import pki

_SERVE = """
import asyncio, json, pathlib, sys, uvloop
from nanokube.apiserver.run import ApiServerConfig, run
given = json.loads(sys.argv[1])
config = ApiServerConfig(**{k: pathlib.Path(v) if "/" in str(v) else v for k, v in given.items()})
uvloop.run(run(config, on_ready=lambda host, port: print(port, flush=True)))
"""
_AT_ONCE = 100


@dataclass(slots=True)
class Peers:
    """Connections that do nothing, or as good as nothing."""

    port: int
    tls: ssl.SSLContext
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self, count: int) -> int:
        """Open connections, some at once; return how many failed."""
        failures = 0

        async def one() -> None:
            nonlocal failures
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
                self.writers.append(writer)
            except (OSError, ssl.SSLError):
                failures += 1

        for start in range(0, count, _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, count - start)):
                    group.create_task(one())
            print(f"\r{start + _AT_ONCE} connections", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return failures

    def drip(self, byte: bytes) -> None:
        """Send one byte of a request on each."""
        for writer in self.writers:
            if not writer.is_closing():
                writer.write(byte)


async def latencies(port: int, tls: ssl.SSLContext, count: int = 300) -> list[float]:
    """Measure GETs over one connection, opened now, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    found = []
    for _ in range(count):
        started = time.perf_counter()
        writer.write(b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"Content-Length: (\d+)", head)
        assert size is not None, head
        assert b" 200 " in head, head
        await reader.readexactly(int(size[1]))
        found.append((time.perf_counter() - started) * 1000)
    writer.close()
    return found


def memory_mb(pid: int) -> float:
    """Read a process's proportional set size in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+)", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


def told(what: str, measured: list[float], pid: int) -> str:
    """Print one row."""
    ranked = sorted(measured)
    p99 = ranked[int(len(ranked) * 0.99)]
    return (
        f"{what:<28} GET median {statistics.median(ranked):.2f} ms, p99 {p99:.2f} ms; {memory_mb(pid):.0f} MB"
    )


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a server with keys of its own."""
    now = datetime.now(UTC)
    authority = pki.Authority.create("test", now)
    pair = authority.issue(pki.Subject("kube-apiserver", names=("127.0.0.1",)), now)
    signing = pki.signing_pair()
    files = {
        "ca.crt": authority.pair.certificate,
        "tls.crt": pair.certificate,
        "tls.key": pair.key,
        "sa.pub": signing.certificate,
        "sa.key": signing.key,
        "tokens.csv": b't,admin,u,"system:masters"\n',
    }
    for name, body in files.items():
        (folder / name).write_bytes(body)
    given = {
        "advertise_address": "127.0.0.1",
        "bind_address": "127.0.0.1",
        "port": 0,
        "tls_cert": f"{folder}/tls.crt",
        "tls_key": f"{folder}/tls.key",
        "client_ca": f"{folder}/ca.crt",
        "service_account_public_key": f"{folder}/sa.pub",
        "service_account_private_key": f"{folder}/sa.key",
        "token_file": f"{folder}/tokens.csv",
    }
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE, json.dumps(given)], stdout=subprocess.PIPE, text=True
    )


async def measure(port: int, pid: int, count: int, *, is_slow: bool) -> None:
    """Measure without, with, and over the bound of idle connections."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    await latencies(port, tls)
    print(told("alone", await latencies(port, tls), pid))
    peers = Peers(port, tls)
    started = time.monotonic()
    failures = await peers.open(count)
    taken = time.monotonic() - started
    print(f"opened {len(peers.writers)} in {taken:.0f} s ({failures} failed)")
    if is_slow:
        for byte in b"GET / HT":
            peers.drip(bytes([byte]))
            await asyncio.sleep(1)
    print(told(f"beside {count} idle peers", await latencies(port, tls), pid))
    extra = await Peers(port, tls).open(200)
    print(told(f"after 200 more ({extra} failed)", await latencies(port, tls), pid))
    for writer in peers.writers:
        writer.transport.abort()
    await asyncio.sleep(2)
    print(told("after they left", await latencies(port, tls), pid))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description="Measure the API server beside idle connections.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        process = start(Path(folder))
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            asyncio.run(measure(port, process.pid, options.count, is_slow=options.slow))
        finally:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
