"""RPC ImageStatus."""

import json

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.images.image import Image
from cri.server import image_messages
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ImageStatusRequest, context: grpc.ServicerContext
) -> pb.ImageStatusResponse:
    """Show one image; no image in the answer means that it is not present. Raises RuntimeFault."""
    if not request.image.image:
        raise faults.invalid("cannot show image: no image named")
    image = env.images.status(request.image.image)
    if image is None:
        return pb.ImageStatusResponse()
    return pb.ImageStatusResponse(
        image=image_messages.message(image), info=_info(image) if request.verbose else {}
    )


def _info(image: Image) -> dict[str, str]:
    return {"info": json.dumps({"chainIDs": list(image.layers), "imageSpec": dict(image.config)})}
