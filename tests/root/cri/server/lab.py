"""A runtime that may be killed wholly: a process of the test holds its namespaces; its host is compared."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.api import transfer_pb2_grpc
from cri.cgroup import group, hierarchy
from tests.root.cri.server import conftest, diagnosis
from tests.root.cri.server.conftest import SOURCE, Node, wait_for

# Long tests take a share of their cases, another one with each seed from 1 to 3, or the whole.
IS_WHOLE = "NANOKUBE_TEST_WHOLE" in os.environ
SEED = int(os.environ.get("NANOKUBE_TEST_SEED", "1"))
DAEMONS = ("nk-keeper", "nk-super", "nk-logd")
# By their pidfds the kernel tells the exits of processes whose parent was killed.
KEEPS_EXITS = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15)
_HOLD = "mount --make-rshared / && ip link set lo up && exec sleep 100000"
_RETRIES = 60  # of one call, however many points kill it
_TEND_S = 0.02
_CHANNEL = [  # connects again at once
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # gives up an attempt only then: a busy server answers late
    ("grpc.max_receive_message_length", 16 << 20),
]
_HELD = re.compile(r"^(pipe:|anon_inode:\[pidfd\]|/dev/pt|/.*/run/c/)")


@dataclasses.dataclass
class Lab(Node):
    """A node in namespaces that outlive it."""

    holder: subprocess.Popen[bytes]
    tending: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    is_off: bool = True  # nobody starts a keeper that has ended
    slowest: tuple[float, str] = (0.0, "")  # seconds and name of a call, with its retries
    doomed: set[int] = dataclasses.field(default_factory=set)  # killed, perhaps not yet gone

    @property
    def points(self) -> Path:
        return self.directory / "failpoints"

    def start(self) -> None:
        """Start the keeper, as systemd would, and wait until the server answers."""
        command = [sys.executable, "-m", "cri", "--config", str(self.directory / "cri.json")]
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "NANOKUBE_CRI_FAILPOINTS": str(self.points),
        }
        with (self.directory / "server.log").open("ab") as log:
            self.keeper = subprocess.Popen(
                ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "-u", *command],
                cwd=SOURCE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.is_off = False

    def tend(self) -> None:
        """Start the keeper again if it was killed, as systemd would."""
        with self.tending:
            if not self.is_off and self.keeper.poll() is not None:
                self.start()

    def turn_off(self) -> None:
        """Let the keeper stay dead when it ends."""
        with self.tending:
            self.is_off = True

    @contextlib.contextmanager
    def tended(self) -> Iterator[None]:
        """Tend the keeper meanwhile: who waits for an answer cannot."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(_TEND_S):
                self.tend()

        thread = threading.Thread(target=look, name="tends the keeper")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def pid(self, daemon: str) -> int:
        """Return the process id of keeper, supervisor, log pump or server; wait while it is being started."""
        found: list[int] = []

        def look() -> bool:
            self.tend()
            if daemon == "server":
                found[:] = {self.server_pid()} - {0} - self.doomed
            else:
                found[:] = [
                    pid for pid, name in self._family().items() if name == daemon and pid not in self.doomed
                ]
            return bool(found)

        wait_for(look)
        return found[0]

    def _family(self) -> dict[int, str]:
        """Return the daemons' names by process id."""
        pids = [self.keeper.pid]
        with contextlib.suppress(OSError):
            path = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children")
            pids += map(int, path.read_text().split())
        family = {}
        for pid in pids:
            with contextlib.suppress(OSError):
                # What a killed supervisor has just cloned is keeper's, and still has the supervisor's name.
                if f"/{self.name}/" not in Path(f"/proc/{pid}/cgroup").read_text():
                    family[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        return family

    def kill(self, *daemons: str) -> None:
        """Kill daemons at once."""
        self._kill({self.pid(daemon) for daemon in daemons})

    def _kill(self, pids: Iterable[int]) -> None:
        self.doomed.update(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def power_off(self, keep: Path | None = None) -> None:
        """Leave the host as a reboot does: no process, no pin, no link, no run directory (or a copy in keep).

        What the containers wrote, images and leases are on a disk.
        """
        pids = [self.pid(daemon) for daemon in (*DAEMONS, "server")]
        self.turn_off()
        self._kill(pids)
        self.keeper.wait()
        own = group.Group(hierarchy.detect(), self.name)
        own.kill()
        wait_for(lambda: not own.processes())
        wait_for(own.remove)
        for line in reversed(self.inside("cat", "/proc/self/mounts").splitlines()):
            if self._is_ours(line):
                self.inside("umount", "-l", line.split()[1])
        for line in self.inside("ip", "-br", "link").splitlines():
            if not line.startswith("lo"):
                self.inside(
                    "sh", "-c", f"ip link del {line.split()[0].partition('@')[0]} 2>/dev/null || true"
                )
        self.inside("nft", "flush", "ruleset")
        if keep:
            shutil.copytree(
                self.directory / "run", keep, ignore=shutil.ignore_patterns("*.sock", "in", "out", "err")
            )
        shutil.rmtree(self.directory / "run")

    def kill_at(self, point: str, *daemons: str) -> None:
        """Arm a failpoint to kill these daemons as they are now."""
        temporary = self.points / "new"
        pids = {self.pid(daemon) for daemon in daemons}
        self.doomed |= pids
        temporary.write_text(" ".join(map(str, pids)))
        temporary.rename(self.points / point)

    def is_armed(self, point: str) -> bool:
        return (self.points / point).exists()

    def reached(self) -> set[str]:
        """Return the failpoints that were passed so far."""
        return {entry.name for entry in (self.points / "reached").iterdir()}

    def call(self, method: str, request: Any, timeout: float = conftest.PATIENCE_S) -> Any:
        """Call an RPC until it succeeds, as a kubelet does; only UNAVAILABLE may be in the way."""
        begin = time.monotonic()
        for _ in range(_RETRIES):
            self.tend()
            try:
                answer = self._stub(method)(request, timeout=timeout, wait_for_ready=True)
                self.slowest = max(self.slowest, (time.monotonic() - begin, method))
                return answer
            except grpc.RpcError as err:
                if code_of(err) is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise AssertionError(f"{method} hung for {timeout} s\n{self.report()}") from err
                if code_of(err) is not grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(0.02)
        raise AssertionError(f"no success of {method} in {_RETRIES} attempts")

    def report(self) -> str:
        """Say what each process waits for."""
        contained = {pid: name for pid, name in self._neighbours() if pid not in self._family()}
        return diagnosis.report(self._family() | contained, self.server_pid(), self.directory / "server.log")

    def _stub(self, method: str) -> Callable[..., Any]:
        if method == "Import":
            stub = transfer_pb2_grpc.TransferStub(self.channel)  # type: ignore[no-untyped-call]
            return lambda request, **options: list(stub.Import(request, **options))
        found = getattr(self.runtime, method, None) or getattr(self.image, method)
        return cast(Callable[..., Any], found)

    def start_container(self, identity: str) -> None:
        """Start a container until its status says that it was started."""
        while self.status(identity).state == pb.CONTAINER_CREATED:
            try:
                self.call("StartContainer", pb.StartContainerRequest(container_id=identity))
            except grpc.RpcError as err:
                if code_of(err) is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise

    def status(self, identity: str) -> pb.ContainerStatus:
        """Return a container's status, whatever is being restarted."""
        answer = self.call("ContainerStatus", pb.ContainerStatusRequest(container_id=identity))
        assert isinstance(answer, pb.ContainerStatusResponse)
        return answer.status

    def inside(self, *command: str) -> str:
        """Run a command in the node's namespaces and return its output."""
        enter = ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "-u"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=True).stdout

    def baseline(self) -> dict[str, Any]:
        """Describe a host without Pods, once all that the last one left has gone on its own time."""
        seen: list[dict[str, Any]] = [{}]

        def is_steady() -> bool:
            time.sleep(0.1)
            seen.append(self.snapshot())
            return seen[-1] == seen[-2] and not any("@if" in link for link in seen[-1]["links"])

        wait_for(is_steady)
        return seen[-1]

    def snapshot(self) -> dict[str, Any]:
        """Describe all that a Pod's life may leave on the host."""
        return {
            "processes": self._processes(),
            "mounts": [
                line for line in self.inside("cat", "/proc/self/mounts").splitlines() if self._is_ours(line)
            ],
            "links": sorted(line.split()[0] for line in self.inside("ip", "-br", "link").splitlines()),
            "nft": re.sub(r"packets \d+ bytes \d+", "", self.inside("nft", "list", "ruleset")).splitlines(),
            "cgroups": sorted(self._cgroups()),
            "files": sorted(self._files()),
            "descriptors": self._descriptors(),
            "armed": sorted(entry.name for entry in self.points.iterdir() if entry.is_file()),
        }

    def assert_unchanged(self, before: dict[str, Any], what: str = "") -> None:
        """Wait until the host is as it was; what goes away on its own time has ten seconds."""
        deadline = time.monotonic() + 10
        while True:
            self.pid("server")
            after = self.snapshot()
            changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
            if not changed:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        told = "\n".join(f"{key}: {_difference(*pair)}" for key, pair in changed.items())
        raise AssertionError(f"{what}: the host is not as it was:\n{told}")

    def _is_ours(self, line: str) -> bool:
        return str(self.directory) in line

    def _processes(self) -> Counter[str]:
        """Return the names of all processes that share the node's network or stand in its cgroups."""
        return Counter(name for _, name in self._neighbours())

    def _neighbours(self) -> Iterator[tuple[int, str]]:
        home = os.readlink(f"/proc/{self.holder.pid}/ns/net")
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                is_inside = os.readlink(entry / "ns/net") == home
                if is_inside or f"/{self.name}" in (entry / "cgroup").read_text():
                    yield int(entry.name), (entry / "comm").read_text().strip()

    def _cgroups(self) -> Iterator[str]:
        own = group.Group(hierarchy.detect(), self.name)
        for top in (*own.v1_directories(), own.unified):
            for directory, _, _ in os.walk(top) if top else ():
                yield directory

    def _files(self) -> Iterator[str]:
        for name in ("run", "lib", "cni"):
            for directory, directories, files in os.walk(self.directory / name):
                if "/layers/" in directory:  # the content of images
                    directories.clear()
                    continue
                for entry in (*directories, *files):
                    yield f"{directory}/{entry}"

    def _descriptors(self) -> Counter[str]:
        """Return what the daemons hold of containers: FIFOs, terminals, processes, namespaces."""
        held: Counter[str] = Counter()
        for pid, name in self._family().items():
            with contextlib.suppress(OSError):
                for entry in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        target = os.readlink(f"/proc/{pid}/fd/{entry}")
                        if _HELD.match(target):
                            held[f"{name} {re.sub(r'[0-9]+', '', target)}"] += 1
        return held


def code_of(err: grpc.RpcError) -> grpc.StatusCode:
    assert isinstance(err, grpc.Call)
    answer = err.code()
    assert isinstance(answer, grpc.StatusCode)
    return answer


@contextlib.contextmanager
def new(directory: Path) -> Iterator[Lab]:
    """Start a runtime with an image and a network; end it and all it made."""
    name = f"nk-test-{uuid.uuid4().hex[:8]}"
    isolate = ["unshare", "--mount", "--net", "--uts", "sh", "-c", _HOLD]
    holder = subprocess.Popen(isolate, stdin=subprocess.DEVNULL)
    (directory / "failpoints/reached").mkdir(parents=True)
    (directory / "cri.json").write_text(json.dumps(conftest.configuration(directory, name)))
    channel = grpc.insecure_channel(f"unix://{directory}/cri.sock", _CHANNEL)
    lab = Lab(directory, name, holder, channel, holder)
    try:
        wait_for(lambda: Path(f"/proc/{holder.pid}/comm").read_text().strip() == "sleep")
        lab.start()
        conftest.wait_until_served(lab)
        conftest.load_image(lab)
        with lab.tended():
            yield lab
    finally:
        lab.turn_off()
        for point in failpoint.POINTS:
            (lab.points / point).unlink(missing_ok=True)
        conftest.clean_up(lab)
        holder.kill()
        holder.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _difference(before: Any, after: Any) -> str:
    if isinstance(before, Counter):
        return f"gone {before - after}, new {after - before}"
    if isinstance(before, list):
        return f"gone {[x for x in before if x not in after]}, new {[x for x in after if x not in before]}"
    return f"was {before!r}, is {after!r}"


def request_for(name: str, directory: Path, **config: Any) -> pb.RunPodSandboxRequest:
    """Return a sandbox request that is the same at every attempt."""
    return pb.RunPodSandboxRequest(
        config=pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="default"),
            log_directory=str(directory / "logs" / name),
            **config,
        )
    )
