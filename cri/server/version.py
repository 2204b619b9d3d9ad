"""RPC Version."""

import functools
import importlib.metadata

import grpc

from cri.api import runtime_pb2 as pb
from cri.server.environment import Environment

RUNTIME_NAME = "nanokube-cri"
_KUBE_API_VERSION = "0.1.0"  # a constant of the CRI contract, not of ours


def handle(env: Environment, request: pb.VersionRequest, context: grpc.ServicerContext) -> pb.VersionResponse:
    """Say who serves."""
    return pb.VersionResponse(
        version=_KUBE_API_VERSION,
        runtime_name=RUNTIME_NAME,
        runtime_version=runtime_version(),
        runtime_api_version="v1",
    )


@functools.cache
def runtime_version() -> str:
    """Return the installed version; a source tree that is not installed has none."""
    try:
        return importlib.metadata.version("nanokube")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"
