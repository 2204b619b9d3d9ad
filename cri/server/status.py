"""RPC Status: is the runtime ready, is the network, what can it do."""

import json

import grpc

from cri import config as configuration
from cri.api import runtime_pb2 as pb
from cri.network import conflist
from cri.runtime.faults import RuntimeFault
from cri.server import user_namespace
from cri.server.environment import Environment


def handle(env: Environment, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
    """Report both conditions; verbose adds the configuration."""
    response = pb.StatusResponse(
        status=pb.RuntimeStatus(conditions=[_runtime_ready(env), _network_ready(env)]),
        runtime_handlers=[
            pb.RuntimeHandler(
                name=name,
                features=pb.RuntimeHandlerFeatures(
                    recursive_read_only_mounts=True, user_namespaces=user_namespace.is_supported()
                ),
            )
            for name in ("", *env.config.runtime_handlers)
        ],
        features=pb.RuntimeFeatures(supplemental_groups_policy=True),
    )
    if request.verbose:
        info = {"stateDir": str(env.config.run_dir), **configuration.to_json(env.config)}
        response.info["config"] = json.dumps(info)
    return response


def _runtime_ready(env: Environment) -> pb.RuntimeCondition:
    """Ask the supervisor, without which nothing can be started."""
    try:
        env.client.list()
    except (RuntimeFault, OSError) as err:
        return pb.RuntimeCondition(
            type="RuntimeReady", status=False, reason="SupervisorNotReady", message=str(err)
        )
    return pb.RuntimeCondition(type="RuntimeReady", status=True)


def _network_ready(env: Environment) -> pb.RuntimeCondition:
    """Look whether a configuration and its plugins are there."""
    try:
        env.network.config()
    except (conflist.ConfigError, OSError) as err:
        return pb.RuntimeCondition(
            type="NetworkReady", status=False, reason="NetworkPluginNotReady", message=str(err)
        )
    return pb.RuntimeCondition(type="NetworkReady", status=True)
