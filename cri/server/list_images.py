"""RPCs ListImages and StreamImages."""

from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import batches, image_messages
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ListImagesRequest, context: grpc.ServicerContext
) -> pb.ListImagesResponse:
    """Return all images, or the one the filter names."""
    return pb.ListImagesResponse(images=_select(env, request.filter))


def stream(
    env: Environment, request: pb.StreamImagesRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamImagesResponse]:
    """Return the same in batches."""
    for batch in batches.of(_select(env, request.filter)):
        yield pb.StreamImagesResponse(images=batch)


def _select(env: Environment, selector: pb.ImageFilter) -> list[pb.Image]:
    return [image_messages.message(image) for image in env.images.list(selector.image.image)]
