"""The runtime's one error: a kind that callers act on (the CRI server maps it to a gRPC code). Pure."""

from __future__ import annotations

import errno

NOT_FOUND = "NotFound"
ALREADY_EXISTS = "AlreadyExists"
FAILED_PRECONDITION = "FailedPrecondition"
INVALID_ARGUMENT = "InvalidArgument"
UNAVAILABLE = "Unavailable"  # the supervisor is being restarted: try again
DEADLINE_EXCEEDED = "DeadlineExceeded"
INTERNAL = "Internal"


_REFUSALS = (errno.EINVAL, errno.ERANGE, errno.EACCES, errno.ENODEV, errno.EBADF, errno.ENOSPC, errno.E2BIG)


class RuntimeFault(Exception):
    """A request to the runtime failed; kind is one of this module's constants."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def of_limits(error: OSError) -> RuntimeFault:
    """Say that the kernel refused a resource limit, whose file the error names."""
    kind = INVALID_ARGUMENT if error.errno in _REFUSALS else INTERNAL
    kind = FAILED_PRECONDITION if error.errno == errno.EBUSY else kind  # less memory than is in use
    if error.errno == errno.ENOENT and "/hugetlb." in str(error.filename):  # no such size on this host
        kind = INVALID_ARGUMENT
    return RuntimeFault(kind, f"cannot set resource limits: {error}")
