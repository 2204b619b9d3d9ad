"""Publishing container events in the form the kubelet wants: with the Pod's whole status."""

from cri.api import runtime_pb2 as pb
from cri.server import present
from cri.server.environment import Environment
from cri.store import records

CREATED = pb.CONTAINER_CREATED_EVENT
STARTED = pb.CONTAINER_STARTED_EVENT
STOPPED = pb.CONTAINER_STOPPED_EVENT
DELETED = pb.CONTAINER_DELETED_EVENT


def container(env: Environment, record: records.Container, kind: pb.ContainerEventType) -> None:
    """Publish a container's event."""
    if env.events.is_heard:
        _publish(env, record.id, env.store.sandboxes.find(record.sandbox_id), kind)


def sandbox(env: Environment, record: records.Sandbox, kind: pb.ContainerEventType) -> None:
    """Publish a sandbox's event: to the kubelet a sandbox is a container too."""
    if env.events.is_heard:
        _publish(env, record.id, record, kind)


def _publish(
    env: Environment, identity: str, pod: records.Sandbox | None, kind: pb.ContainerEventType
) -> None:
    event = pb.ContainerEventResponse(container_id=identity, container_event_type=kind, created_at=env.now())
    if pod is not None:
        event.pod_sandbox_status.CopyFrom(present.sandbox_status(pod))
        event.containers_statuses.extend(
            present.container_status(member) for member in env.store.containers_of(pod.id)
        )
    env.events.publish(event)
