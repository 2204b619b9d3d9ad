"""The runtime's own failures: a kind the caller acts on, and a message for people. Pure."""

import enum


class Kind(enum.Enum):
    """What went wrong, as far as a caller can act on it; `cri.server.errors` maps kinds to gRPC codes."""

    NOT_FOUND = "not found"
    ALREADY_EXISTS = "already exists"
    FAILED_PRECONDITION = "failed precondition"
    INVALID_ARGUMENT = "invalid argument"
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline exceeded"
    RESOURCE_EXHAUSTED = "resource exhausted"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"


class RuntimeFault(Exception):
    """A request that cannot be met. The message is lower case: "cannot …: cause"."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def not_found(what: str, identity: str) -> RuntimeFault:
    """Say that a sandbox, container or image is unknown."""
    return RuntimeFault(Kind.NOT_FOUND, f"cannot find {what} {identity!r}: not found")


def invalid(message: str) -> RuntimeFault:
    """Say that a request's content is refused."""
    return RuntimeFault(Kind.INVALID_ARGUMENT, message)


def precondition(message: str) -> RuntimeFault:
    """Say that the object is not in a state that allows the request."""
    return RuntimeFault(Kind.FAILED_PRECONDITION, message)
