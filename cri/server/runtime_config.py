"""RPCs RuntimeConfig and UpdateRuntimeConfig."""

import ipaddress
import json
import logging
from pathlib import Path

import grpc

from cni import conflist as own_network
from cri import faults
from cri.api import runtime_pb2 as pb
from cri.network import conflist
from cri.server import stop_pod_sandbox
from cri.server.environment import Environment
from cri.store import files, records

log = logging.getLogger(__name__)

_CONFLIST = "10-nanokube.conflist"


def handle(
    env: Environment, request: pb.RuntimeConfigRequest, context: grpc.ServicerContext
) -> pb.RuntimeConfigResponse:
    """Tell the kubelet that cgroups are driven by their files, not by systemd."""
    return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=pb.CGROUPFS))


def update(
    env: Environment, request: pb.UpdateRuntimeConfigRequest, context: grpc.ServicerContext
) -> pb.UpdateRuntimeConfigResponse:
    """Learn the node's Pod ranges: write our own network's configuration, unless the node has another's.

    One that an earlier version wrote, with Pods on a bridge, gives way; Pods that are on it stay there.
    Raises RuntimeFault INVALID_ARGUMENT for a range that is none, for two of one family.
    """
    subnets = _ranges(request.runtime_config.network_config.pod_cidr)
    if not subnets:
        return pb.UpdateRuntimeConfigResponse()
    directory = env.config.cni_conf_dir
    found = conflist.find(directory)
    has_moved = found is not None and found.name == _CONFLIST and _ranges_of(found) != subnets
    if found is None or has_moved or (found.name == _CONFLIST and _is_former(found)):
        config = env.config
        if has_moved:
            _stop_strangers(env, subnets)
            own_network.remove_gateways(config.bridge)
        directory.mkdir(parents=True, exist_ok=True)
        network = own_network.default(
            subnets, config.bridge, config.cni_data_dir, config.cluster_cidrs, config.mtu
        )
        files.replace(directory / _CONFLIST, json.dumps(network, indent=2).encode())
        log.info("network configured range=%s", subnets)
    return pb.UpdateRuntimeConfigResponse()


def _ranges_of(path: Path) -> str:
    """Return the ranges that a file of our own gives; "" if it cannot be read."""
    try:
        found = conflist.load(path).plugins[0]["ipam"]["ranges"]
        return ",".join([each[0]["subnet"] for each in found])
    except (conflist.ConfigError, OSError, LookupError, TypeError):
        return ""


def _stop_strangers(env: Environment, subnets: str) -> None:
    """Stop the Pods of a former range, which no other node's packets reach any more.

    A Node that was removed and came back has another range; the kubelet starts anew what it still wants.
    """
    ranges = [ipaddress.ip_network(each) for each in subnets.split(",")]
    for pod in env.store.sandboxes.all():
        is_ready = pod.state is records.SandboxState.READY and not pod.is_host_network
        if is_ready and not all(any(ipaddress.ip_address(ip) in each for each in ranges) for ip in pod.ips):
            log.warning("sandbox of another range stopped id=%s ips=%s", pod.id, ",".join(pod.ips))
            stop_pod_sandbox.stop(env, pod.id)


def _is_former(path: Path) -> bool:
    """Tell whether a file of our own still has Pods on a bridge."""
    try:
        first = conflist.load(path).plugins[0]
    except (conflist.ConfigError, OSError):
        return False
    return first["type"] == "bridge" and first.get("routed") is True


def _ranges(text: str) -> str:
    """Return ranges with commas between as networks are written. Raises RuntimeFault INVALID_ARGUMENT."""
    try:
        found = [ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip()]
    except ValueError as err:
        raise faults.invalid(f"cannot use Pod range {text!r}: {err}") from err
    if len({each.version for each in found}) < len(found):
        raise faults.invalid(f"cannot use Pod ranges {text!r}: two are of one family")
    return ",".join(map(str, found))
