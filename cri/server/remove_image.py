"""RPC RemoveImage."""

import logging

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server.environment import Environment

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.RemoveImageRequest, context: grpc.ServicerContext
) -> pb.RemoveImageResponse:
    """Remove an image with all its tags; an unknown one is fine. Raises RuntimeFault."""
    if not request.image.image:
        raise faults.invalid("cannot remove image: no image named")
    env.images.remove(request.image.image)
    log.info("image removed ref=%s", request.image.image)
    return pb.RemoveImageResponse()
