"""The gRPC service nanokube.transfer.v1: pull and import with progress. Runs on the CRI server's threads."""

import grpc

from cri.images.service import ImageService


def register(server: grpc.Server, images: ImageService) -> None:
    """Add the Transfer service to a gRPC server that is not started yet."""
    raise NotImplementedError
