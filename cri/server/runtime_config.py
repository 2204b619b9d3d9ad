"""RPCs RuntimeConfig and UpdateRuntimeConfig."""

import ipaddress
import json
import logging

import grpc

from cni import conflist as own_network
from cri import faults
from cri.api import runtime_pb2 as pb
from cri.network import conflist
from cri.server.environment import Environment
from cri.store import files

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
    """Learn the node's Pod ranges: write our own network's configuration if the node has none yet.

    Raises RuntimeFault INVALID_ARGUMENT for a range that is none, for two of one family.
    """
    subnets = _ranges(request.runtime_config.network_config.pod_cidr)
    if not subnets:
        return pb.UpdateRuntimeConfigResponse()
    directory = env.config.cni_conf_dir
    if conflist.find(directory) is None:
        directory.mkdir(parents=True, exist_ok=True)
        config = env.config
        network = own_network.default(
            subnets, config.bridge, config.cni_data_dir, config.cluster_cidrs, config.mtu
        )
        files.replace(directory / _CONFLIST, json.dumps(network, indent=2).encode())
        log.info("network configured range=%s", subnets)
    return pb.UpdateRuntimeConfigResponse()


def _ranges(text: str) -> str:
    """Return ranges with commas between as networks are written. Raises RuntimeFault INVALID_ARGUMENT."""
    try:
        found = [ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip()]
    except ValueError as err:
        raise faults.invalid(f"cannot use Pod range {text!r}: {err}") from err
    if len({each.version for each in found}) < len(found):
        raise faults.invalid(f"cannot use Pod ranges {text!r}: two are of one family")
    return ",".join(map(str, found))
