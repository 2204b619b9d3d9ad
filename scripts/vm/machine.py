"""Virtual machines of scripts/vm-lab: a link that they share, one QEMU each, commands in them."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.vm import agent

BRIDGE = "lab0"
PREFIX = "192.168.56"  # the Vagrantfile's
BOOT_S = 400.0
COMMAND_S = 300.0
PROBE_S = 20.0


class LabError(RuntimeError):
    """The lab cannot go on; the message says why."""


def ip(*arguments: str) -> None:
    """Run ip(8). Raises LabError."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"cannot ip {' '.join(arguments)}: {done.stderr.strip()}")


def make_link() -> None:
    """Make the machines' link, in this process's own network namespace, which ends with it."""
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("address", "add", f"{PREFIX}.1/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")


def acceleration(kernel: Path, device: Path = Path("/dev/kvm")) -> tuple[str, str]:
    """Return what QEMU can, "kvm" or "tcg", and why not KVM ("" where it is, or where there is none to try).

    Neither a device nor a machine that stays up says that KVM works: under some hypervisors it stops at an
    instruction that it does not know. So the lab's kernel is started with nothing to go on to: it must come
    to its panic, which takes a second, and even emulated but two. Blocks for up to PROBE_S.
    """
    if not os.access(device, os.W_OK):
        return "tcg", ""
    command = [
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "512", "-display", "none", "-nodefaults",
        "-no-reboot", "-kernel", str(kernel), "-append", "panic=-1",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return "tcg", f"KVM is there, but runs no kernel within {PROBE_S:.0f} s"
    if done.returncode:
        return "tcg", f"KVM is there, but: {(done.stderr.strip() or 'QEMU failed').splitlines()[-1]}"
    return "kvm", ""


def kernel_of(place: Path) -> Path:
    """Return the kernel of the image. Raises LabError if there is no image."""
    found = next(iter(sorted((place / "root/boot").glob("vmlinuz-*"))), None)
    if found is None:
        raise LabError(f"there is no image in {place}; --resume goes on with what --keep left")
    return found


@dataclasses.dataclass(slots=True)
class Machine:
    """One machine; it may be off. number: the last part of its address.

    has_nat: it has a second address, which is the same in all, and is that of its default route (Vagrant's).
    """

    name: str
    role: str
    number: int
    place: Path
    memory_mib: int
    accelerated_by: str
    has_nat: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{PREFIX}.{self.number}"

    @property
    def mac(self) -> str:
        return f"52:54:00:00:00:{self.number:02x}"

    @property
    def console(self) -> Path:
        return self.place / f"{self.name}.console"

    def make(self, *, anew: bool) -> None:
        """Make its disk, which holds what differs from the common one, and its end of the link.

        anew: a disk that an earlier lab kept is not used.
        """
        base = self.place / "base.img"
        disk = self.place / f"{self.name}.qcow2"
        if anew or not disk.exists():
            disk.unlink(missing_ok=True)
            self.console.unlink(missing_ok=True)
            command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(disk)]
            subprocess.run(command, check=True)
        ip("tuntap", "add", f"tap{self.number}", "mode", "tap")
        ip("link", "set", f"tap{self.number}", "master", BRIDGE, "up")

    def start(self) -> None:
        """Switch it on."""
        with self.console.open("ab") as console:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )

    def _command(self) -> list[str]:
        kernel = kernel_of(self.place)
        initrd = kernel.with_name(kernel.name.replace("vmlinuz-", "initrd.img-", 1))
        # The kernel's check of its timer fails where other work keeps the emulated processor waiting.
        append = (
            "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 systemd.show_status=0 no_timer_check panic=1"
            f" lab.name={self.name} lab.address={self.address}/24"
        )
        if not self.has_nat:
            append += f" lab.router={PREFIX}.1"
        return [
            "qemu-system-x86_64", "-machine", "q35", "-accel", self.accelerated_by, "-cpu", "max",
            "-smp", "1", "-m", str(self.memory_mib), "-nographic",
            "-kernel", str(kernel), "-initrd", str(initrd),
            "-append", append,
            "-drive", f"file={self.place}/{self.name}.qcow2,format=qcow2,if=virtio",
            "-netdev", "user,id=nat,restrict=on", "-device", "virtio-net-pci,netdev=nat,romfile=",
            "-netdev", f"tap,id=link,ifname=tap{self.number},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=link,mac={self.mac},romfile=",
        ]  # fmt: skip

    def kill(self) -> None:
        """Switch it off without a word to what runs in it."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Switch it off; QEMU writes what it has of the disk, so that another lab can go on with it."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def wait(self, timeout_s: float = BOOT_S) -> None:
        """Wait until it takes commands. Raises LabError."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                raise LabError(f"{self.name} has gone; see {self.console}")
            with contextlib.suppress(LabError):
                self.run("true", timeout_s=20)
                return
            time.sleep(1)
        raise LabError(f"{self.name} takes no commands after {timeout_s:.0f} s; see {self.console}")

    def run(
        self, command: str, timeout_s: float = COMMAND_S, heard: Callable[[str], None] = lambda _line: None
    ) -> str:
        """Run a shell command in it; return what it printed. Raises LabError if it fails or does not end.

        heard: called with each line at once.
        """
        code, output = self.attempt(command, timeout_s, heard)
        if code:
            raise LabError(f"{self.name}: {command}: ended with {code}: {output.strip()[-2000:]}")
        return output

    def attempt(
        self, command: str, timeout_s: float = COMMAND_S, heard: Callable[[str], None] = lambda _line: None
    ) -> tuple[int, str]:
        """Run a shell command in it; return its status and what it printed. Raises LabError if it is deaf."""
        request = json.dumps({"command": command, "timeout_s": timeout_s}).encode() + b"\n"
        lines: list[str] = []
        try:
            with socket.create_connection((self.address, agent.PORT), timeout=5) as connection:
                connection.settimeout(timeout_s + 30)
                connection.sendall(request)
                with connection.makefile("r", encoding="utf-8", errors="replace", newline="\n") as answer:
                    for line in answer:
                        lines.append(line)
                        if not line.startswith('{"code":'):
                            heard(line.rstrip())
        except OSError as err:
            raise LabError(f"{self.name} does not answer: {err}") from err
        try:
            code = int(json.loads(lines.pop())["code"])
        except (ValueError, LookupError, TypeError) as err:
            raise LabError(f"{self.name}: {command}: broken off") from err
        return code, "".join(lines).removesuffix("\n")


def roster(servers: int, workers: int) -> Sequence[tuple[str, str, int]]:
    """Return names, roles and last parts of addresses, as the Vagrantfile has them. Pure.

    >>> roster(1, 1)
    [('server-1', 'server', 11), ('worker-1', 'worker', 21)]
    """
    found = [(f"server-{i}", "server" if i == 1 else "control-plane", 10 + i) for i in range(1, servers + 1)]
    return found + [(f"worker-{i}", "worker", 20 + i) for i in range(1, workers + 1)]
