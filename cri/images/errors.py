"""What can go wrong with images. A kind carries the name of the gRPC status code that reports it."""

import enum


class Kind(enum.Enum):
    """Why an image operation failed; the names are those of grpc.StatusCode."""

    NOT_FOUND = "not found"
    INVALID_ARGUMENT = "invalid argument"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission denied"
    UNAVAILABLE = "unavailable"
    FAILED_PRECONDITION = "failed precondition"
    RESOURCE_EXHAUSTED = "resource exhausted"
    DATA_LOSS = "data loss"


class ImageError(Exception):
    """An image operation failed. Server side: `grpc.StatusCode[err.kind.name]` and `str(err)`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def not_found(message: str) -> ImageError:
    return ImageError(Kind.NOT_FOUND, message)


def invalid(message: str) -> ImageError:
    return ImageError(Kind.INVALID_ARGUMENT, message)


def corrupt(message: str) -> ImageError:
    return ImageError(Kind.DATA_LOSS, message)


def too_big(message: str) -> ImageError:
    return ImageError(Kind.RESOURCE_EXHAUSTED, message)
