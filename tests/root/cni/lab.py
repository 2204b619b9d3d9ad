"""Scenarios of the CNI plugins, each run as a program in network and mount namespaces of its own.

`unshare --net --mount python lab.py <scenario> <directory>` prints one JSON object of what it saw.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cni import conflist, host, skel

GATEWAY = "10.244.0.1"
_GET = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=2).read())
"""
_GET_FROM = """
import http.client, sys
host, port = sys.argv[2].split(":")
connection = http.client.HTTPConnection(host, int(port), timeout=2, source_address=(sys.argv[1], 0))
connection.request("GET", "/")
sys.stdout.buffer.write(connection.getresponse().read())
"""
_SERVE = """
import http.server, sys
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Hello).serve_forever()
"""


class Lab:
    """A host with Pods p0, p1, … on nk0."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "cni"
        self.config = conflist.default("10.244.0.0/24", "nk0", self.data)
        _run("ip", "link", "set", "lo", "up")

    def call(self, index: int, command: str, pod: str, **more: Any) -> Any:
        """Run a verb of the bridge (0) or portmap (1) plugin."""
        plugin = {**self.config["plugins"][index], "cniVersion": "1.1.0", "name": "nanokube", **more}
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod,
            "CNI_NETNS": f"/run/netns/{pod}",
            "CNI_IFNAME": "eth0",
        }
        return skel.invoke(plugin["type"], env, json.dumps(plugin).encode())

    def add(self, pod: str) -> Any:
        _run("ip", "netns", "add", pod)
        return self.call(0, "ADD", pod)

    def map(self, command: str, pod: str, result: Any, port: int, **more: str) -> Any:
        mapping = {"hostPort": port, "containerPort": 8080, "protocol": "tcp", **more}
        return self.call(1, command, pod, prevResult=result, runtimeConfig={"portMappings": [mapping]})


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _inside(pod: str) -> list[str]:
    return ["ip", "netns", "exec", pod] if pod else []


def get(pod: str, address: str) -> str:
    """Fetch a URL from a Pod ("" = the host); returns the client address the server saw, or ""."""
    command = [*_inside(pod), sys.executable, "-I", "-c", _GET, f"http://{address}/"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def get_from(source: str, address: str) -> str:
    """Fetch from the host, from one of its addresses; returns as get does."""
    command = [sys.executable, "-I", "-c", _GET_FROM, source, address]
    return subprocess.run(command, capture_output=True, text=True).stdout


@contextlib.contextmanager
def served(pod: str) -> Iterator[None]:
    server = subprocess.Popen([*_inside(pod), sys.executable, "-I", "-c", _SERVE], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if ":8080" in _run(*_inside(pod), "ss", "-ltn"):
                break
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()


def ip_of(result: Any) -> str:
    return str(result["ips"][0]["address"].split("/")[0])


def traffic(lab: Lab) -> dict[str, Any]:
    """Pods reach each other, the host and host ports; br_netfilter on and off."""
    results = {pod: lab.add(pod) for pod in ("p0", "p1")}
    first = ip_of(results["p0"])
    lab.map("ADD", "p0", results["p0"], 12000)
    _run("ip", "address", "add", "192.0.2.10/32", "dev", "lo")
    seen: dict[str, Any] = {"result": results["p0"]}
    with served("p0"):
        for value in ("1", "0"):
            with contextlib.suppress(FileNotFoundError):
                Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text(value)
            seen[value] = {
                "host": get("", f"{first}:8080"),
                "pod": get("p1", f"{first}:8080"),
                "loopback port": get("", "127.0.0.1:12000"),
                "loopback port from another address": get_from("192.0.2.10", "127.0.0.1:12000"),
                "host address port": get("", f"{GATEWAY}:12000"),
                "port from another pod": get("p1", f"{GATEWAY}:12000"),
                "port from itself": get("p0", f"{GATEWAY}:12000"),
            }
        lab.map("DEL", "p0", results["p0"], 12000)
        lab.map("DEL", "p0", results["p0"], 12000)
        seen["after DEL"] = get("", "127.0.0.1:12000")
    settings = Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet")
    seen["route_localnet"] = [path.read_text().strip() for path in settings]
    return seen


def spoofing(lab: Lab) -> dict[str, Any]:
    """A Pod that lies about its IP or MAC, or talks past the host, is not heard."""
    first = ip_of(lab.add("p0"))
    second = ip_of(lab.add("p1"))
    inside = _inside("p1")
    seen = {}
    with served("p0"), served(""):
        seen["honest"] = get("p1", f"{GATEWAY}:8080")
        _run(*inside, "ip", "neigh", "replace", first, "lladdr", "0a:58:0a:f4:00:02", "dev", "eth0")
        _run(*inside, "ip", "route", "add", f"{first}/32", "dev", "eth0")
        seen["past the host"] = get("p1", f"{first}:8080")
        _run(*inside, "ip", "route", "del", f"{first}/32", "dev", "eth0")
        _run(*inside, "ip", "address", "replace", f"{first}/32", "dev", "eth0")
        _run(*inside, "ip", "address", "del", f"{second}/32", "dev", "eth0")
        _run(*inside, "ip", "route", "replace", f"{GATEWAY}/32", "dev", "eth0", "src", first)
        seen["another's address"] = get("p1", f"{GATEWAY}:8080")
        _run(*inside, "ip", "link", "set", "eth0", "address", "0a:58:0a:f4:00:02")
        seen["another's MAC and address"] = get("p1", f"{GATEWAY}:8080")
        seen["the victim"] = get("p0", f"{GATEWAY}:8080")
    return seen


def upkeep(lab: Lab) -> dict[str, Any]:
    """Idempotence, GC, a failed ADD, a lost table, and what reset leaves."""
    before = _run("nft", "list", "ruleset")
    result = lab.add("p0")
    lab.call(0, "CHECK", "p0")
    lab.add("p1")
    _run("nft", "flush", "ruleset")
    lab.add("p2")
    seen: dict[str, Any] = {"elements after flush": _run("nft", "list", "ruleset").count(" . 10.244.0.")}
    lab.call(0, "GC", "p", **{"cni.dev/valid-attachments": [{"containerID": "p0", "ifname": "eth0"}]})
    seen["elements after GC"] = _run("nft", "list", "ruleset").count(" . 10.244.0.")
    lab.map("ADD", "p0", result, 12000)
    try:
        lab.map("ADD", "px", result, 12000)
    except skel.CniError as err:
        seen["taken port"] = str(err)
    try:
        lab.call(0, "ADD", "absent")
    except skel.CniError as err:
        seen["absent netns"] = int(err.code)
    lab.call(0, "DEL", "p0")
    lab.call(0, "DEL", "p0")
    lab.map("DEL", "p0", result, 12000)
    seen["leases"] = sorted(p.name for p in (lab.data / "leases/nanokube").iterdir() if p.name[0].isdigit())
    seen["records"] = [str(p) for p in (lab.data / "bridge").rglob("*.json")]
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    seen["forwarding"] = forwarding.read_text().strip()
    host.reset(lab.data)
    host.reset(lab.data)
    seen["forwarding after reset"] = forwarding.read_text().strip()
    seen["rules left"] = _run("nft", "list", "ruleset") != before
    seen["bridge left"] = os.path.exists("/sys/class/net/nk0") or "nk0" in _run("ip", "-br", "link")
    return seen


def burst(lab: Lab) -> dict[str, Any]:
    """Many Pods at once, from threads, get different addresses and all answer."""
    lab.add("p0")
    pods = [f"b{n}" for n in range(20)]
    for pod in pods:
        _run("ip", "netns", "add", pod)
    results: dict[str, str] = {}

    def attach(mine: list[str]) -> None:
        for pod in mine:
            results[pod] = ip_of(lab.call(0, "ADD", pod))

    threads = [threading.Thread(target=attach, args=(pods[n::4],)) for n in range(4)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return {"addresses": len(set(results.values())), "ms each": seconds * 1000 / len(pods)}


if __name__ == "__main__":
    _run("mount", "--make-rprivate", "/")
    Path("/run/netns").mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "netns", "/run/netns")
    scenarios = {each.__name__: each for each in (traffic, spoofing, upkeep, burst)}
    print(json.dumps(scenarios[sys.argv[1]](Lab(Path(sys.argv[2])))))
