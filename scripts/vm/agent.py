"""Runs in a machine of scripts/vm-lab: `configure` sets name and addresses, else it runs the commands sent.

The machine's own settings come by the kernel's command line: lab.name=…, lab.address=…/24. As in Vagrant
eth0 is a NAT with the same address in every machine, and has the default route; eth1 is the network that they
share. With lab.router=ADDRESS eth0 stays down, and the default route is there: a host that has one address.
Whoever reaches the port is root here: the link ends in the lab's own network namespace.
"""

import json
import socketserver
import subprocess
import sys
from pathlib import Path

PORT = 1023


def configure() -> None:
    """Set name and addresses."""
    given = dict(
        word.split("=", 1) for word in Path("/proc/cmdline").read_text().split() if word.startswith("lab.")
    )
    name = given["lab.name"]
    Path("/etc/hostname").write_text(f"{name}\n")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    nat = [
        "ip link set eth0 up",
        "ip address replace 10.0.2.15/24 dev eth0",
        "ip route replace default via 10.0.2.2",
    ]
    for command in [
        f"hostname {name}",
        "ip link set eth1 up",
        f"ip address replace {given['lab.address']} dev eth1",
        *([f"ip route replace default via {given['lab.router']}"] if "lab.router" in given else nat),
    ]:
        subprocess.run(command.split(), check=True)


class Handler(socketserver.StreamRequestHandler):
    """One command: a line of JSON {command, timeout_s} in; its output, then a line of JSON {code} out."""

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        command = ["timeout", "-k", "5", str(request["timeout_s"]), "bash", "-c", request["command"]]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/opt/nanokube",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.wfile.write(line)
        self.wfile.write(b"\n" + json.dumps({"code": process.returncode}).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """Takes several commands at a time."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    if sys.argv[1:] == ["configure"]:
        configure()
        sys.exit()
    with Server(("", PORT), Handler) as server:
        server.serve_forever()
