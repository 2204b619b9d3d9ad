"""Which records a list request asks for. Pure.

Source: CRI v1 PodSandboxFilter, ContainerFilter, *StatsFilter; an id may be a prefix.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from cri.api import runtime_pb2 as pb
from cri.store import records

CONTAINER_STATES = {
    records.ContainerState.CREATED: pb.CONTAINER_CREATED,
    records.ContainerState.RUNNING: pb.CONTAINER_RUNNING,
    records.ContainerState.EXITED: pb.CONTAINER_EXITED,
}
SANDBOX_STATES = {
    records.SandboxState.READY: pb.SANDBOX_READY,
    records.SandboxState.NOTREADY: pb.SANDBOX_NOTREADY,
}


class SandboxSelector(Protocol):
    """What sandbox and sandbox stats filters have in common."""

    id: str

    @property
    def label_selector(self) -> Mapping[str, str]: ...


class ContainerSelector(SandboxSelector, Protocol):
    """What container and container stats filters have in common."""

    pod_sandbox_id: str


def sandboxes(
    items: Iterable[records.Sandbox], selector: SandboxSelector, state: pb.PodSandboxState | None = None
) -> list[records.Sandbox]:
    """Return the sandboxes a filter selects; every condition given must hold."""
    return [
        item
        for item in items
        if item.id.startswith(selector.id)
        and (state is None or SANDBOX_STATES[item.state] == state)
        and _has_labels(item.config.labels, selector.label_selector)
    ]


def containers(
    items: Iterable[records.Container], selector: ContainerSelector, state: pb.ContainerState | None = None
) -> list[records.Container]:
    """Return the containers a filter selects; every condition given must hold."""
    return [
        item
        for item in items
        if item.id.startswith(selector.id)
        and item.sandbox_id.startswith(selector.pod_sandbox_id)
        and (state is None or CONTAINER_STATES[item.state] == state)
        and _has_labels(item.config.labels, selector.label_selector)
    ]


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())
