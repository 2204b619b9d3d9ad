"""What a host must have to run a node: one function a check, each says what is there and the exact remedy."""

import dataclasses
import errno
import ipaddress
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nanokube.roles import config as node_config
from nanokube.storage.etcd import settings

OLDEST_KERNEL = (6, 1)  # Debian 12's: every newer system call in use has a fallback down to it
NEEDED_CONTROLLERS = ("cpu", "memory", "pids")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
LEAST_DISK_BYTES = 2 * 1024**3
STORE_TIMEOUT_S = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check. remedy: the exact thing to do, empty if all is well.

    is_fatal: the node cannot start like this; otherwise it starts with something missing.
    """

    name: str
    is_ok: bool
    found: str
    remedy: str = ""
    is_fatal: bool = True


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Check = Callable[[node_config.NodeConfig], Result]


def run_all(config: node_config.NodeConfig, checks: "Sequence[Check] | None" = None) -> Iterator[Result]:
    """Run the checks one after the other; each result comes as soon as it is known."""
    for check in checks if checks is not None else ALL:
        yield check(config)


def _root(_config: node_config.NodeConfig) -> Result:
    is_root = os.geteuid() == 0
    return Result("user", is_root, "root" if is_root else f"uid {os.geteuid()}", "run it with sudo")


def _kernel(_config: node_config.NodeConfig) -> Result:
    release = os.uname().release
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    remedy = "boot a kernel of 6.1 or later: Debian 12, Ubuntu 24.04 and later have one"
    return Result("kernel", version >= OLDEST_KERNEL, release, remedy)


def _namespaces(_config: node_config.NodeConfig) -> Result:
    missing = [name for name in NAMESPACES if not Path("/proc/self/ns", name).exists()]
    found = f"missing: {', '.join(missing)}" if missing else "all"
    return Result("namespaces", not missing, found, "boot a kernel built with these namespaces")


def _cgroups(_config: node_config.NodeConfig) -> Result:
    unified = _read("/sys/fs/cgroup/cgroup.controllers").split()
    v1 = {
        line.split("\t")[0] for line in _read("/proc/cgroups").splitlines()[1:] if line.split("\t")[1] != "0"
    }
    missing = [name for name in NEEDED_CONTROLLERS if name not in unified and name not in v1]
    kind = "v2" if unified else "v1 and v2 side by side"
    remedy = f"boot with cgroup_enable={','.join(missing)} systemd.unified_cgroup_hierarchy=1"
    found = kind if not missing else f"{kind}; missing: {', '.join(missing)}"
    return Result("cgroups", not missing, found, remedy)


def _overlay(_config: node_config.NodeConfig) -> Result:
    is_there = "\toverlay\n" in _read("/proc/filesystems") or _modprobe("overlay")
    return Result("overlayfs", is_there, "available" if is_there else "absent", "modprobe overlay")


def _seccomp(_config: node_config.NodeConfig) -> Result:
    actions = _read("/proc/sys/kernel/seccomp/actions_avail")
    return Result(
        "seccomp",
        "errno" in actions,
        "available" if actions else "absent",
        "boot a kernel with SECCOMP_FILTER",
    )


def _nft(_config: node_config.NodeConfig) -> Result:
    nft = shutil.which("nft")
    if nft is None:
        return Result("nftables", False, "no nft command", "apt-get install nftables")
    done = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False)
    if done.returncode and os.geteuid() == 0:
        return Result("nftables", False, done.stderr.strip().splitlines()[0], "modprobe nf_tables")
    return Result("nftables", True, nft)


def _network_devices(_config: node_config.NodeConfig) -> Result:
    missing = [
        name for name in ("bridge", "veth") if not Path("/sys/module", name).exists() and not _modprobe(name)
    ]
    built_in = _read(f"/lib/modules/{os.uname().release}/modules.builtin")
    missing = [name for name in missing if f"/{name}.ko" not in built_in]
    # A kernel without loadable modules lists nothing: only creating a device tells, which `up` does.
    is_monolithic = not Path("/proc/modules").exists()
    is_ok = not missing or is_monolithic
    found = "available" if is_ok else f"missing: {', '.join(missing)}"
    return Result("network devices", is_ok, found, f"modprobe {' '.join(missing)}")


def _ports(config: node_config.NodeConfig) -> Result:
    wanted = listening(config)
    busy = [port for port, (address, _option) in wanted.items() if _is_busy(address, port)]
    if busy and _is_running(config):
        return Result("ports", True, "in use by this node")
    others = [f"{wanted[port][1]} N" for port in busy if wanted[port][1]]
    remedy = "end what listens there (`ss -ltnp` names it)"
    if others:
        remedy += f", or choose another: {' '.join(others)}"
    found = f"in use: {', '.join(map(str, busy))}" if busy else "free"
    return Result("ports", not busy, found, remedy)


def listening(config: node_config.NodeConfig) -> dict[int, tuple[str, str]]:
    """Return the ports that the node listens at: at which address, and which option changes them. Pure."""
    ports = {config.kubelet_port: (_ANY, "--kubelet-port")}
    if config.is_worker:
        return ports | {config.balancer_port: (_LOOPBACK, "--balancer-port")}
    ports[config.api_port] = (_ANY, "--api-port")
    if config.store == node_config.ETCD:
        ports |= {config.etcd_client_port: (_LOOPBACK, ""), config.etcd_peer_port: (config.first_node_ip, "")}
    return dict(sorted(ports.items()))


_ANY, _LOOPBACK = "0.0.0.0", "127.0.0.1"


def _ipv6(config: node_config.NodeConfig) -> Result:
    wanted = any(":" in each for each in config.pod_cidrs)
    is_there = Path("/proc/net/if_inet6").exists()
    is_off = _read("/proc/sys/net/ipv6/conf/all/disable_ipv6").strip() == "1"
    if not wanted:
        return Result("IPv6", True, "not asked for")
    if not is_there:
        remedy = "boot without ipv6.disable=1, or give IPv4 ranges only"
        return Result("IPv6", False, "the kernel has none, the Pods' range has", remedy)
    remedy = "sysctl -w net.ipv6.conf.all.disable_ipv6=0, or give IPv4 ranges only"
    return Result(
        "IPv6", not is_off, "switched off, the Pods' range has it" if is_off else "available", remedy
    )


def _ranges(config: node_config.NodeConfig) -> Result:
    """Pods and Services must not hide a network that the host already reaches."""
    ours = [ipaddress.ip_network(each) for each in (*config.pod_cidrs, *config.service_cidrs)]
    routes: list[tuple[Network, str]] = [*_routes(), *_routes_of_ipv6()]
    overlapping = [
        (route, device)
        for route, device in routes
        if device not in (config.bridge, "nk-dns", "nk-vxlan") and any(route.overlaps(each) for each in ours)
    ]
    made = _made_by_us() if overlapping else frozenset()
    for route, device in overlapping:
        if str(route) not in made:
            remedy = "choose other ranges: nanokube up --pod-cidr / --service-cidr"
            return Result("address ranges", False, f"{route} on {device} overlaps", remedy)
    return Result("address ranges", True, f"{config.pod_cidr}, {config.service_cidr}")


def _address(config: node_config.NodeConfig) -> Result:
    """Only an address that this host has can be bound: others would be told a way that ends nowhere."""
    for each in config.node_ips:
        family = socket.AF_INET6 if ":" in each else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((each, 0))
        except OSError:
            remedy = "give one that it has (`ip address` lists them): nanokube up --node-ip"
            return Result("node address", False, f"{each} is not an address of this host", remedy)
    return Result("node address", True, config.node_ip)


def _store(config: node_config.NodeConfig) -> Result:
    """An etcd cluster that is not ours must be reachable, else the API server would wait for it in vain."""
    if config.store in ("", node_config.ETCD):
        ours = "etcd beside the server" if config.store else "SQLite"
        return Result("object store", True, "the servers'" if config.is_worker else ours)
    found, authority = "", Path(config.etcd_ca) if config.etcd_ca else None
    for endpoint in settings.parse(config.store, ca=authority).endpoints:
        host, _, port = endpoint.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=STORE_TIMEOUT_S).close()
        except OSError as err:
            found = found or f"no etcd at {endpoint}: {err.strerror or err}"
        else:
            return Result("object store", True, f"etcd at {endpoint}")
    return Result("object store", False, found, "start it, or say where it listens: nanokube up --store")


def _disk(config: node_config.NodeConfig) -> Result:
    place = config.paths.lib
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    remedy = f"free some space below {place}"
    return Result("disk", free >= LEAST_DISK_BYTES, f"{free / 1024**3:.1f} GiB free", remedy, is_fatal=False)


ALL: Sequence[Check] = (
    _root,
    _kernel,
    _namespaces,
    _cgroups,
    _overlay,
    _seccomp,
    _nft,
    _network_devices,
    _ports,
    _ipv6,
    _address,
    _ranges,
    _store,
    _disk,
)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _modprobe(module: str) -> bool:
    if os.geteuid() != 0 or shutil.which("modprobe") is None:
        return False
    return subprocess.run(["modprobe", "-q", module], check=False).returncode == 0


def _is_busy(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as err:
            return err.errno == errno.EADDRINUSE
    return False


def _is_running(config: node_config.NodeConfig) -> bool:
    from nanokube.roles import node

    try:
        return node.running_pid(config.paths) is not None
    except PermissionError:
        return False  # nobody but root may ask


def _routes() -> Iterator[tuple[ipaddress.IPv4Network, str]]:
    """Yield (destination, device) of the host's IPv4 routes, without the default route."""
    for line in _read("/proc/net/route").splitlines()[1:]:
        device, destination, *_rest = line.split()
        mask = line.split()[7]
        network = ipaddress.IPv4Network(
            (_little_endian(destination), str(_little_endian(mask))), strict=False
        )
        if network.prefixlen:
            yield network, device


def _routes_of_ipv6() -> Iterator[tuple[ipaddress.IPv6Network, str]]:
    """Yield as _routes does, without what is on every host. Source: net/ipv6/route.c, rt6_info_route."""
    passed_over = [ipaddress.IPv6Network(each) for each in ("fe80::/10", "ff00::/8", "::1/128")]
    for line in _read("/proc/net/ipv6_route").splitlines():
        destination, bits, *_rest, flags, device = line.split()
        network = ipaddress.IPv6Network((int(destination, 16), int(bits, 16)), strict=False)
        is_of_host = bool(int(flags, 16) & _RTF_OF_HOST)
        if network.prefixlen and not is_of_host and not any(network.subnet_of(each) for each in passed_over):
            yield network, device


# RTF_LOCAL, RTF_ANYCAST, RTF_REJECT of include/uapi/linux/ipv6_route.h and route.h: addresses, not networks
_RTF_OF_HOST = 0x80000000 | 0x00100000 | 0x0200


def _made_by_us() -> frozenset[str]:
    """Return the destinations of routes to Pods, here or of another node, and to balanced addresses."""
    from pyroute2 import IPRoute

    from cni import ptp
    from nanokube.podnet import kernel
    from nanokube.proxy import announcer

    with IPRoute() as netlink:
        return frozenset(
            f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
            for family in (socket.AF_INET, socket.AF_INET6)
            for route in netlink.get_routes(family=family, table=254)
            if route["proto"] in (ptp.ROUTE_PROTOCOL, kernel.PROTOCOL, announcer.PROTOCOL)
        )


def _little_endian(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))
