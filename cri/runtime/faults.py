"""The runtime's one error: a kind that callers act on (the CRI server maps it to a gRPC code). Pure."""

from __future__ import annotations

NOT_FOUND = "NotFound"
ALREADY_EXISTS = "AlreadyExists"
FAILED_PRECONDITION = "FailedPrecondition"
INVALID_ARGUMENT = "InvalidArgument"
UNAVAILABLE = "Unavailable"  # the supervisor is being restarted: try again
DEADLINE_EXCEEDED = "DeadlineExceeded"
INTERNAL = "Internal"


class RuntimeFault(Exception):
    """A request to the runtime failed; kind is one of this module's constants."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
