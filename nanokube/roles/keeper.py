"""The container runtime of this node: started once, found again by its pid file, outliving the launcher."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nanokube.roles import config as node_config

log = logging.getLogger(__name__)

PID_FILE = "cri.pid"
STOP_TIMEOUT_S = 15.0


def ensure(config: node_config.NodeConfig) -> int:
    """Return the pid of the runtime's keeper, which is started if it is gone. Raises OSError."""
    pid = running_pid(config)
    if pid is not None:
        return pid
    pid = _start(config)
    _pid_file(config).write_text(f"{pid} {_start_time(pid)}\n")
    return pid


def running_pid(config: node_config.NodeConfig) -> int | None:
    """Return the pid of the keeper if it runs; a pid given to another process since does not count."""
    try:
        pid, started = _pid_file(config).read_text().split()
        return int(pid) if _start_time(int(pid)) == started else None
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def settings(config: node_config.NodeConfig, mtu: int = 0) -> dict[str, Any]:
    """Return the runtime's configuration file (cri/config.py) for this node. Pure.

    mtu: of the link that leads to other nodes, which Pods' links share; 0 if unknown.
    """
    place = config.paths
    return {
        "socket": str(place.cri_socket),
        "run_dir": str(place.cri_run),
        "lib_dir": str(place.cri_lib),
        "cgroup_root": config.cgroup_root,
        "cni_conf_dir": str(place.cni / "net.d"),
        "cni_bin_dirs": [str(place.cni / "bin"), "/opt/cni/bin"],
        "cni_data_dir": str(place.cni),
        "bridge": config.bridge,
        "cluster_cidrs": list(config.pod_cidrs),
        "mtu": mtu,
        "registry_config_dir": str(place.etc / "certs.d"),
    }


def shutdown(config: node_config.NodeConfig) -> None:
    """End the keeper and with it server, supervisor and log pump; containers go on. Raises OSError."""
    pid = running_pid(config)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while running_pid(config) is not None:
        if time.monotonic() > deadline:
            log.warning("killing the runtime's keeper pid=%d", pid)
            os.kill(pid, signal.SIGKILL)
            deadline += STOP_TIMEOUT_S
        time.sleep(0.02)
    _pid_file(config).unlink(missing_ok=True)


def _start(config: node_config.NodeConfig) -> int:
    from cni import conflist, install

    place = config.paths
    place.log.mkdir(mode=0o750, parents=True, exist_ok=True)
    file = place.etc / "cri.json"
    mtu = _mtu(config.first_node_ip)
    file.write_text(json.dumps(settings(config, mtu), indent=2) + "\n")
    network = place.cni / "net.d"
    network.mkdir(parents=True, exist_ok=True)
    if config.node_pod_cidr:  # a worker's runtime is told by its kubelet, which the cluster tells
        own = conflist.default(config.node_pod_cidr, config.bridge, place.cni, config.pod_cidrs, mtu)
        (network / "10-nanokube.conflist").write_text(json.dumps(own, indent=2) + "\n")
    install.install(place.cni / "bin")
    with (place.log / "cri.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cri", "--config", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    log.info("started container runtime pid=%d", process.pid)
    return process.pid


def _mtu(address: str) -> int:
    """Return the MTU of the link that has an address of this host; 0 if none has it."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        for found in netlink.get_addr(address=address):
            (link,) = netlink.get_links(found["index"])
            return int(link.get_attr("IFLA_MTU"))
    return 0


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot (proc(5), field 22), as text."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError) as err:
        raise ProcessLookupError(f"no process {pid}") from err
    fields = stat.rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(f"process {pid} has ended")
    return fields[19]


def _pid_file(config: node_config.NodeConfig) -> Path:
    return config.paths.run / PID_FILE
