"""The one table from the runtime's failures to gRPC status codes. Pure."""

import grpc

from cri import faults
from cri.bundle.build import BuildError
from cri.images.errors import ImageError
from cri.network import conflist, files, plugin, sysctls
from cri.runtime import faults as supervisor
from cri.streaming import server as streaming

_CODES = {
    faults.Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    faults.Kind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    faults.Kind.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    faults.Kind.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    faults.Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    faults.Kind.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    faults.Kind.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    faults.Kind.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    faults.Kind.INTERNAL: grpc.StatusCode.INTERNAL,
    supervisor.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    supervisor.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    supervisor.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    supervisor.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    supervisor.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    supervisor.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    supervisor.INTERNAL: grpc.StatusCode.INTERNAL,
}
_TYPES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (BuildError, grpc.StatusCode.INVALID_ARGUMENT),
    (files.InvalidValue, grpc.StatusCode.INVALID_ARGUMENT),
    (sysctls.InvalidSysctl, grpc.StatusCode.INVALID_ARGUMENT),
    (streaming.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (streaming.TooManyRequests, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (conflist.ConfigError, grpc.StatusCode.UNAVAILABLE),
    (plugin.PluginError, grpc.StatusCode.UNKNOWN),
    (OSError, grpc.StatusCode.INTERNAL),
)


def status(err: Exception) -> tuple[grpc.StatusCode, str] | None:
    """Return code and details of an expected failure; None for a bug of ours."""
    if isinstance(err, ImageError):
        return grpc.StatusCode[err.kind.name], str(err)
    if isinstance(err, faults.RuntimeFault | supervisor.RuntimeFault):
        return _CODES.get(err.kind, grpc.StatusCode.INTERNAL), str(err)
    for kind, code in _TYPES:
        if isinstance(err, kind):
            return code, str(err)
    return None
