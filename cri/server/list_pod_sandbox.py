"""RPCs ListPodSandbox and StreamPodSandboxes."""

from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import batches, filters, present
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ListPodSandboxRequest, context: grpc.ServicerContext
) -> pb.ListPodSandboxResponse:
    """Return the sandboxes the filter selects."""
    return pb.ListPodSandboxResponse(items=_select(env, request.filter))


def stream(
    env: Environment, request: pb.StreamPodSandboxesRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamPodSandboxesResponse]:
    """Return the same in batches."""
    for batch in batches.of(_select(env, request.filter)):
        yield pb.StreamPodSandboxesResponse(pod_sandboxes=batch)


def _select(env: Environment, selector: pb.PodSandboxFilter) -> list[pb.PodSandbox]:
    state = selector.state.state if selector.HasField("state") else None
    return [present.sandbox(item) for item in filters.sandboxes(env.store.sandboxes.all(), selector, state)]
