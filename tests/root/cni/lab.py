"""Scenarios of the CNI plugins, each run as a program in network and mount namespaces of its own.

`unshare --net --mount python lab.py <scenario> <directory> [ptp|bridge]` prints what it saw as a
JSON object.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cni import conflist, host, skel
from cni.records import Records

GATEWAY, GATEWAY6 = "10.244.0.1", "fd00:10:244::1"
RANGE, RANGE6 = "10.244.0.0/24", "fd00:10:244::/64"
_GET = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=2).read())
"""
_GET_FROM = """
import http.client, sys
host, _, port = sys.argv[2].rpartition(":")
connection = http.client.HTTPConnection(host, int(port), timeout=2, source_address=(sys.argv[1], 0))
connection.request("GET", "/")
sys.stdout.buffer.write(connection.getresponse().read())
"""
_SERVE = """
import http.server, socket
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(self.client_address[0].removeprefix("::ffff:").encode())
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET
Server(("::", 8080), Hello).serve_forever()
"""


class Lab:
    """A host with Pods p0, p1, … whose gateway is on nk0."""

    def __init__(self, directory: Path, ranges: str = RANGE, kind: str = "ptp") -> None:
        """kind: the plugin that attaches Pods."""
        self.data = directory / "cni"
        self.config = conflist.default(
            ranges, "nk0", self.data, [RANGE6[:-2] + "56"] if ":" in ranges else ()
        )
        self.kind = kind
        self.bridged = {"type": "bridge", "bridge": "nk0", "isDefaultGateway": True, "routed": True}
        if kind == "bridge":
            self.config["plugins"][0] |= self.bridged
        _run("ip", "link", "set", "lo", "up")

    def call(self, index: int, command: str, pod: str, **more: Any) -> Any:
        """Run a verb of the plugin that attaches (0), or of portmap (1)."""
        plugin = {**self.config["plugins"][index], "cniVersion": "1.1.0", "name": "nanokube", **more}
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod,
            "CNI_NETNS": f"/run/netns/{pod}",
            "CNI_IFNAME": "eth0",
        }
        return skel.invoke(plugin["type"], env, json.dumps(plugin).encode())

    def add(self, pod: str, **more: Any) -> Any:
        _run("ip", "netns", "add", pod)
        return self.call(0, "ADD", pod, **more)

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
        for _ in range(600):
            if ":8080" in _run(*_inside(pod), "ss", "-ltn"):
                break
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()


def ip_of(result: Any) -> str:
    return ips_of(result)[0]


def ips_of(result: Any) -> list[str]:
    return [str(each["address"].split("/")[0]) for each in result["ips"]]


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


def dual(lab: Lab) -> dict[str, Any]:
    """Pods of both families, or of IPv6 alone: each way that the traffic of IPv4 has, by the other."""
    lab.config["plugins"][0]["deleteLink"] = True
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    results = {pod: lab.add(pod) for pod in ("p0", "p1")}
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("0")
    lab.call(0, "CHECK", "p0")
    first, second = (ips_of(results[pod])[-1] for pod in ("p0", "p1"))
    lab.map("ADD", "p0", results["p0"], 12000)
    _run("ip", "address", "add", "2001:db8::10/128", "dev", "lo", "nodad")
    _outside("2001:db8:1::1", "2001:db8:1::2")
    seen: dict[str, Any] = {"ips": [ips_of(each) for each in results.values()]}
    seen["gateways"] = [each["gateway"] for each in results["p0"]["ips"]]
    with served("p0"), served("outside"), served(""):
        seen["host"] = get("", f"[{first}]:8080")
        seen["pod"] = get("p1", f"[{first}]:8080")
        seen["loopback port"] = get("", "[::1]:12000")
        seen["loopback port from another address"] = get_from("2001:db8::10", "::1:12000")
        seen["host address port"] = get("", f"[{GATEWAY6}]:12000")
        seen["port from another pod"] = get("p1", f"[{GATEWAY6}]:12000")
        seen["port from itself"] = get("p0", f"[{GATEWAY6}]:12000")
        seen["port from outside"] = get("outside", "[2001:db8:1::1]:12000")
        seen["leaving"] = get("p1", "[2001:db8:1::2]:8080")
        seen["IPv4"] = get("p1", f"{GATEWAY}:8080")
        mac = results["p0"]["interfaces"][-1]["mac"]
        _run(*_inside("p1"), "ip", "neigh", "replace", first, "lladdr", mac, "dev", "eth0")
        _run(*_inside("p1"), "ip", "route", "add", f"{first}/128", "dev", "eth0")
        seen["past the host"] = get("p1", f"[{first}]:8080")
        _run(*_inside("p1"), "ip", "route", "del", f"{first}/128", "dev", "eth0")
        _run(*_inside("p1"), "ip", "address", "add", f"{first}/128", "dev", "eth0", "nodad")
        _run(*_inside("p1"), "ip", "route", "replace", f"{GATEWAY6}/128", "dev", "eth0", "src", first)
        seen["another's address"] = get("p1", f"[{GATEWAY6}]:8080")
    lab.map("DEL", "p0", results["p0"], 12000)
    lab.call(0, "GC", "p", **{"cni.dev/valid-attachments": [{"containerID": "p0", "ifname": "eth0"}]})
    seen["elements after GC"] = _run("nft", "list", "ruleset").count(" . fd00:10:244::3 }")
    seen["neighbours after GC"] = second in _run("ip", "-6", "neigh", "show", "nud", "permanent")
    try:
        lab.call(0, "CHECK", "p1")
    except skel.CniError as err:
        seen["CHECK after GC"] = int(err.code)
    _run(*_inside("p0"), "ip", "address", "del", f"{first}/128", "dev", "eth0")
    try:
        lab.call(0, "CHECK", "p0")
    except skel.CniError as err:
        seen["CHECK without its address"] = str(err).rpartition(": ")[2]
    lab.call(0, "DEL", "p0")
    leases = (lab.data / "leases/nanokube").iterdir()
    seen["leases"] = sorted(p.name for p in leases if p.name != "lock" and not p.name.startswith("last"))
    host.reset(lab.data)
    seen["tables left"] = _run("nft", "list", "tables")
    seen["forwarding left"] = Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text().strip()
    return seen


def ipv6(lab: Lab) -> dict[str, Any]:
    return dual(lab)


def advertised(lab: Lab) -> dict[str, Any]:
    """A host that learned its default route by an advertisement keeps it, though it forwards now."""
    _outside("2001:db8:1::1", "2001:db8:1::2")
    accept = Path("/proc/sys/net/ipv6/conf/up0/accept_ra")
    lab.add("p0")
    seen = {"while we run": accept.read_text().strip()}
    host.reset(lab.data)
    return {**seen, "after reset": accept.read_text().strip()}


def _outside(own: str, other: str) -> None:
    """Connect a namespace that is no Pod, which knows no way to Pods."""
    _run("ip", "netns", "add", "outside")
    _run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", "outside")
    _run("ip", "address", "add", f"{own}/64", "dev", "up0", "nodad")
    _run("ip", "link", "set", "up0", "up")
    inside = _inside("outside")
    _run(*inside, "ip", "address", "add", f"{other}/64", "dev", "eth0", "nodad")
    _run(*inside, "ip", "link", "set", "eth0", "up")


def upkeep(lab: Lab) -> dict[str, Any]:
    """Idempotence, GC, a failed ADD, a lost table, and what reset leaves."""
    before = _run("nft", "list", "ruleset")
    result = lab.add("p0")
    lab.call(0, "CHECK", "p0")
    lab.add("p1")
    _run("nft", "flush", "ruleset")
    lab.add("p2")
    rules = _run("nft", "list", "ruleset")
    seen: dict[str, Any] = {"elements after flush": rules.count(" . 10.244.0.")}
    seen["guard after flush"] = "drop" in rules
    seen["masquerade after flush"] = "masquerade" in rules
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
    seen["records"] = [str(p) for p in (lab.data / lab.kind).rglob("*.json")]
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    seen["forwarding"] = forwarding.read_text().strip()
    host.reset(lab.data)
    host.reset(lab.data)
    seen["forwarding after reset"] = forwarding.read_text().strip()
    seen["rules left"] = _run("nft", "list", "ruleset") != before
    seen["bridge left"] = os.path.exists("/sys/class/net/nk0") or "nk0" in _run("ip", "-br", "link")
    return seen


def mixed(lab: Lab) -> dict[str, Any]:
    """An upgraded node: a Pod that is still on the bridge, others on links of their own, of one range."""
    old = lab.add("p0", **lab.bridged)
    results = {"p0": old, **{pod: lab.add(pod) for pod in ("p1", "p2")}}
    lab.map("ADD", "p0", old, 12000)
    lab.map("ADD", "p1", results["p1"], 12001)
    seen: dict[str, Any] = {"ips": [ips_of(each) for each in results.values()]}
    with served("p0"), served("p1"):
        for version in (0, 1):
            first, second = (
                f"[{ip}]" if ":" in ip else ip for ip in (ips_of(results[p])[version] for p in ("p0", "p1"))
            )
            at = f"[{GATEWAY6}]" if version else GATEWAY
            seen[f"{version}"] = {
                "new to old": get("p1", f"{first}:8080"),
                "old to new": get("p0", f"{second}:8080"),
                "new to new": get("p2", f"{second}:8080"),
                "host to old": get("", f"{first}:8080"),
                "host to new": get("", f"{second}:8080"),
                "new to old's port": get("p1", f"{at}:12000"),
                "old to new's port": get("p0", f"{at}:12001"),
            }
    lab.map("DEL", "p0", old, 12000)
    lab.call(0, "DEL", "p0", **lab.bridged)
    lab.call(0, "CHECK", "p1")
    seen["leases"] = sorted(p.name for p in (lab.data / "leases/nanokube").iterdir() if p.name[0].isdigit())
    return seen


_FORGE = """
import socket, struct, sys
kind, payload = int(sys.argv[1], 16), bytes.fromhex(sys.argv[2])
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("eth0", 0))
    to, own = bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4])
    for _ in range(int(sys.argv[5])):
        raw.send(to + own + struct.pack(">H", kind) + payload)
"""
_COPIES = 20  # of a packet: the few that a Pod's own kernel sends meanwhile make no difference


def _send_raw(pod: str, kind: str, payload: bytes, to: str, own: str) -> None:
    arguments = [kind, payload.hex(), to.replace(":", ""), own.replace(":", ""), f"{_COPIES}"]
    _run(*_inside(pod), sys.executable, "-I", "-c", _FORGE, *arguments)


def _counted() -> int:
    """Return how many packets the guard has dropped."""
    text = _run("nft", "list", "chain", "inet", "nanokube-cni-nk0", "from_pod")
    return sum(int(line.split("packets ")[1].split()[0]) for line in text.splitlines() if "packets" in line)


def forged(lab: Lab) -> dict[str, Any]:
    """Addresses that are no Pod's, asked and told in ways a host would listen to."""
    result = lab.add("p0")
    host_end, own_end = result["interfaces"]
    macs = (host_end["mac"], own_end["mac"])
    seen: dict[str, Any] = {}

    def ipv4(source: str, target: str) -> bytes:
        addresses = b"".join(ipaddress.ip_address(each).packed for each in (source, target))
        head = struct.pack(">BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0) + addresses
        words = sum(struct.unpack(">10H", head))
        check = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
        return head[:10] + struct.pack(">H", check) + head[12:] + struct.pack(">HHHH", 68, 67, 8, 0)

    def ipv6(source: str, target: str, kind: int = 128) -> bytes:
        addresses = b"".join(ipaddress.ip_address(each).packed for each in (source, target))
        return struct.pack(">IHBB", 6 << 28, 8, 58, 255) + addresses + bytes((kind, 0)) + bytes(6)

    group = "33:33:00:00:00:01"
    for name, kind, payload, to in (
        ("no address", "0800", ipv4("0.0.0.0", "255.255.255.255"), "ff:ff:ff:ff:ff:ff"),
        ("the gateway's", "0800", ipv4(GATEWAY, GATEWAY), macs[0]),
        ("loopback's", "0800", ipv4("127.0.0.1", GATEWAY), macs[0]),
        ("a stranger's", "0800", ipv4("198.51.100.7", GATEWAY), macs[0]),
        ("its own", "0800", ipv4("10.244.0.2", GATEWAY), macs[0]),
        ("link-local", "86dd", ipv6("fe80::1", GATEWAY6), macs[0]),
        ("advertisement", "86dd", ipv6("fe80::1", "ff02::1", 134), group),
        ("unspecified", "86dd", ipv6("::", "ff02::1", 135), group),
        ("its own of IPv6", "86dd", ipv6("fd00:10:244::2", GATEWAY6), macs[0]),
    ):
        before = _counted()
        _send_raw("p0", kind, payload, to, macs[1])
        deadline = time.monotonic() + 1
        while _counted() - before < _COPIES and time.monotonic() < deadline:
            time.sleep(0.05)
        seen[name] = _counted() - before >= _COPIES
    asks = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1)
    asks += bytes.fromhex(macs[1].replace(":", "")) + ipaddress.ip_address("198.51.100.9").packed
    _send_raw(
        "p0", "0806", asks + bytes(6) + ipaddress.ip_address(GATEWAY).packed, "ff:ff:ff:ff:ff:ff", macs[1]
    )
    seen["ARP is heard"] = "198.51.100.9" in _run("ip", "neigh")
    return seen


def _traces(link: str) -> list[str]:
    """Return what the host knows about a link: routes, neighbours, links."""
    commands = ("ip route", "ip -6 route", "ip neigh", "ip -o link")
    return [line for each in commands for line in _run(*each.split()).splitlines() if link in line]


def links(lab: Lab) -> dict[str, Any]:
    """Routes and neighbours of a Pod: nobody is asked, they go with its link, lost ones are made anew."""
    result = lab.add("p0")
    link = result["interfaces"][0]["name"]
    seen: dict[str, Any] = {"traces": _traces(link)}
    seen["link-local"] = "fe80" in _run("ip", "-6", "address", "show", "dev", link)
    seen["is NOARP"] = "NOARP" in _run("ip", "link", "show", "dev", link)
    first, last = ips_of(result)
    _run("ip", "link", "del", "nk0")
    seen["routes without their source"] = len(_traces(f"{first} dev {link} proto"))
    other = lab.add("p1")
    with served("p0"):
        seen["healed"] = [get("p1", f"{first}:8080"), get("", f"{first}:8080"), get("", f"[{last}]:8080")]
    lab.call(0, "CHECK", "p0")
    _run("ip", "-6", "route", "del", last)
    try:
        lab.call(0, "CHECK", "p0")
    except skel.CniError as err:
        seen["CHECK without its route"] = str(err).replace(link, "LINK")
    # A namespace that is still on its way out when its address is another Pod's.
    lab.call(0, "DEL", "p0")
    lab.call(0, "DEL", "p1")
    shutil.rmtree(lab.data / "leases")
    result = lab.add("p2")
    seen["has the address again"] = ips_of(result) == [first, last]
    _run("ip", "netns", "del", "p0")
    for _ in range(100):
        if not _traces(link):
            break
        time.sleep(0.05)
    seen["traces at the end"] = _traces(link)
    with served("p2"):
        seen["the second holder"] = [get("", f"{first}:8080"), get("", f"[{last}]:8080")]
    _run("ip", "netns", "del", "p1")
    del other
    return seen


def standard(lab: Lab) -> dict[str, Any]:
    """A configuration of the reference plugin's fields alone."""
    ipam = {"type": "host-local", "subnet": "10.9.0.0/24", "dataDir": str(lab.data / "standard")}
    lab.config["plugins"][0] = {
        "type": "ptp",
        "ipMasq": True,
        "mtu": 1400,
        "ipam": ipam,
        "dns": {"nameservers": ["192.0.2.53"]},
        "dataDir": str(lab.data),
    }
    result, other = lab.add("p0"), lab.add("p1")
    seen: dict[str, Any] = {"ips": [ips_of(result), ips_of(other)], "dns": result["dns"]}
    with served("p0"), served(""):
        seen["pod"] = get("p1", f"{ip_of(result)}:8080")
        seen["host"] = get("p1", "10.9.0.1:8080")
    seen["mtu"] = "mtu 1400" in _run(*_inside("p0"), "ip", "link", "show", "eth0")
    lab.call(0, "DEL", "p0")
    seen["link after DEL"] = _traces(result["interfaces"][0]["name"])
    return seen


def host_ports(lab: Lab) -> dict[str, Any]:
    """4,000 host ports of a Pod at once, some lost, and a crash's record of ports that are another Pod's."""
    results = {pod: {"ips": [{"address": f"10.244.0.{n}/24"}]} for n, pod in enumerate(("p0", "p1"), 2)}
    many = [{"hostPort": n, "containerPort": n, "protocol": "tcp"} for n in range(20000, 24000)]

    def ask(command: str, pod: str, mappings: list[dict[str, Any]]) -> None:
        lab.call(1, command, pod, prevResult=results[pod], runtimeConfig={"portMappings": mappings})

    def elements() -> int:
        return _run("nft", "list", "ruleset").count("tcp . ")

    started = time.perf_counter()
    ask("ADD", "p0", many)
    seen: dict[str, Any] = {"added": elements()}
    try:
        ask("ADD", "p1", many[-1:])
    except skel.CniError as err:
        seen["taken"] = str(err)
    seen["after refusal"] = elements()
    crashed = Records(lab.data / "portmap")
    record = crashed.get(skel.Attachment("p0", "eth0")) or {}
    theirs = {"ips": [["10.244.0.3", GATEWAY]], "mappings": record["mappings"][:8]}
    crashed.put(skel.Attachment("p1", "eth0"), theirs)
    for port in (20000, 23999):
        _run("nft", "delete", "element", "ip", "nanokube-hostport", "ports", f"{{ tcp . {port} }}")
    ask("DEL", "p1", many[:3])
    seen["after DEL of another"] = elements()
    ask("DEL", "p0", many)
    seen["after DEL"] = elements()
    seen["seconds"] = time.perf_counter() - started
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
    of_both = (traffic, spoofing, dual, ipv6, advertised, upkeep, host_ports, burst)
    known = (*of_both, mixed, forged, links, standard)
    scenarios = {each.__name__: each for each in known}
    ranges = {"ipv6": RANGE6} | dict.fromkeys(
        ("dual", "advertised", "mixed", "forged", "links"), f"{RANGE},{RANGE6}"
    )
    lab = Lab(Path(sys.argv[2]), ranges.get(sys.argv[1], RANGE), *sys.argv[3:])
    print(json.dumps(scenarios[sys.argv[1]](lab)))
