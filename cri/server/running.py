"""Finding a container that a process can be run in or a client attached to."""

from cri import faults
from cri.server.environment import Environment
from cri.store import records


def get(env: Environment, identity: str) -> records.Container:
    """Return a running container. Raises RuntimeFault NOT_FOUND, FAILED_PRECONDITION."""
    record = env.store.containers.get(identity)
    if record.state is not records.ContainerState.RUNNING:
        raise faults.precondition(
            f"cannot use container {record.id!r}: it is {record.state.value}, not running"
        )
    return record
