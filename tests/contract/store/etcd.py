"""A real etcd for tests: one member, on loopback, killed and started again at will."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from nanokube.storage.etcd import restore, store
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.etcd.store import EtcdStore

READY_S = 20.0


class Etcd:
    """NANOKUBE_TEST_ETCD names another binary than the one in PATH."""

    def __init__(self, directory: Path, name: str = "a") -> None:
        self._directory = directory
        self.name = name
        self.port, self._peer_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> EtcdSettings:
        return EtcdSettings((f"127.0.0.1:{self.port}",))

    @property
    def peer(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    def start(self, cluster: str = "", state: str = "new") -> None:
        """cluster: of which members, "a=URL,b=URL"; empty: of this one."""
        client, peer = f"http://127.0.0.1:{self.port}", self.peer
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _binary(), "-name", self.name, "-data-dir", str(self._directory / "data"),
                    "-listen-client-urls", client, "-advertise-client-urls", client,
                    "-listen-peer-urls", peer, "-initial-advertise-peer-urls", peer,
                    "-initial-cluster", cluster or f"{self.name}={peer}", "-initial-cluster-state", state,
                    "-log-level", "error",
                ],
                stdout=log, stderr=log, cwd=self._directory,
            )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Make it silent, without closing anything."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            assert self._process is not None
            assert self._process.poll() is None, (self._directory / "log").read_text()
            time.sleep(0.01)
        raise AssertionError(f"etcd is not there after {READY_S} s")


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Etcd]:
    etcd = Etcd(directory)
    etcd.start()
    try:
        yield etcd
    finally:
        etcd.kill()


@contextlib.asynccontextmanager
async def fresh(server: Etcd) -> AsyncIterator[EtcdStore]:
    """Open an empty store at revision 1: a prefix of its own in an etcd that others use, too."""
    settings = dataclasses.replace(server.settings, prefix=f"/{uuid.uuid4().hex}")
    async with store.opened(settings) as probe:
        revision = probe.revision
    await restore.set_offset(settings, -revision)
    async with store.opened(settings) as opened:
        yield opened


def _binary() -> str:
    found = os.environ.get("NANOKUBE_TEST_ETCD") or shutil.which("etcd")
    assert found, "these tests need etcd: apt-get install etcd-server (scripts/install test does)"
    return found


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
