"""RPCs ListContainers and StreamContainers."""

from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import batches, filters, present
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ListContainersRequest, context: grpc.ServicerContext
) -> pb.ListContainersResponse:
    """Return the containers the filter selects."""
    return pb.ListContainersResponse(containers=_select(env, request.filter))


def stream(
    env: Environment, request: pb.StreamContainersRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamContainersResponse]:
    """Return the same in batches."""
    for batch in batches.of(_select(env, request.filter)):
        yield pb.StreamContainersResponse(containers=batch)


def _select(env: Environment, selector: pb.ContainerFilter) -> list[pb.Container]:
    state = selector.state.state if selector.HasField("state") else None
    return [
        present.container(item) for item in filters.containers(env.store.containers.all(), selector, state)
    ]
