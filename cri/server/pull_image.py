"""RPC PullImage."""

import logging

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.images.image import Progress
from cri.server import image_messages
from cri.server.environment import Environment

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.PullImageRequest, context: grpc.ServicerContext
) -> pb.PullImageResponse:
    """Fetch an image and return its id; a client that gives up ends the pull.

    Raises RuntimeFault, ImageError.
    """
    reference = request.image.image
    if not reference:
        raise faults.invalid("cannot pull image: no image named")
    if (handler := request.image.runtime_handler) and handler not in env.config.runtime_handlers:
        raise faults.invalid(f"cannot pull {reference}: no runtime handler {handler!r}")

    def go_on(_: Progress) -> None:
        if not context.is_active():
            raise faults.RuntimeFault(
                faults.Kind.DEADLINE_EXCEEDED, f"cannot pull {reference}: the client gave up"
            )

    image = env.images.pull(reference, image_messages.auth(request.auth, reference), go_on)
    log.info("image pulled ref=%s id=%s", reference, image.id)
    return pb.PullImageResponse(image_ref=image.id)
