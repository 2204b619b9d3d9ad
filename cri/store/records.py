"""Sandbox and container records: what the runtime knows of each, as values. Pure.

A record is a frozen dataclass; a change is a new record. The CRI config a record was
made from is kept as the protobuf message it came in, which nobody may alter.

Sandbox states:

    (intent) --commit--> READY --stop or reboot--> NOTREADY --remove--> gone
        \\--failure or crash--> gone

Container states:

    (intent) --commit--> CREATED --start--> RUNNING --exit--> EXITED --remove--> gone
        \\--failure--> gone    \\--start failed, stop, reboot--> EXITED

Source: CRI v1 PodSandboxState, ContainerState; containerd internal/cri/store.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from cri.api import runtime_pb2 as pb


class SandboxState(enum.Enum):
    """Where a sandbox stands. INTENT is written before the first side effect and shown to nobody."""

    INTENT = "intent"
    READY = "ready"
    NOTREADY = "notready"


class ContainerState(enum.Enum):
    """Where a container stands. INTENT is written before the first side effect and shown to nobody."""

    INTENT = "intent"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


# An exit nobody saw (the host restarted, or the supervisor lost it). Source: containerd
# internal/cri/server unknownExitCode, unknownExitReason.
UNKNOWN_EXIT_CODE = 255
UNKNOWN_REASON = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Sandbox:
    """One Pod sandbox.

    ips: the Pod's addresses as CNI returned them, the first is the primary.
    namespaces: kind (`net`, `ipc`, `uts`, `pid`, `user`) to the path it is pinned at.
    cgroup: path of the Pod's cgroup below the hierarchy's root.
    attachment: what CNI ADD was done with, `cri.network.attach.Attachment` as JSON; None on the host network.
    is_network_down: true once DEL succeeded and the network namespace is unpinned.
    selinux_level: what its containers get that name none, such as s0:c1,c2; "" without SELinux.
    """

    id: str
    config: pb.PodSandboxConfig
    runtime_handler: str = ""
    state: SandboxState = SandboxState.INTENT
    created_at: int = 0
    ips: tuple[str, ...] = ()
    namespaces: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cgroup: str = ""
    attachment: Mapping[str, Any] | None = None
    is_network_down: bool = False
    selinux_level: str = ""

    @property
    def name(self) -> str:
        """The name that must be unique: `<pod>_<namespace>_<uid>_<attempt>`."""
        return sandbox_name(self.config.metadata)

    @property
    def is_host_network(self) -> bool:
        return namespace_options(self.config).network == pb.NODE


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """The process identity a container's first process got."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One container.

    image_id: the image's config digest, the same in every answer that names the image.
    image_ref: the image by repository and manifest digest, which a Pod's status shows; "" if it has none.
    log_path: absolute, or "" when nothing is logged.
    resources: what UpdateContainerResources last set, else None for the config's.
    image_mounts: container path of an image volume to the id of the image mounted there.
    times are nanoseconds since the epoch, 0 when not reached.
    """

    id: str
    sandbox_id: str
    config: pb.ContainerConfig
    image_id: str
    log_path: str = ""
    state: ContainerState = ContainerState.INTENT
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    user: User | None = None
    stop_signal: str = "SIGTERM"
    image_mounts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cgroup: str = ""
    resources: pb.LinuxContainerResources | None = None
    is_stop_requested: bool = False
    image_ref: str = ""


def sandbox_name(metadata: pb.PodSandboxMetadata) -> str:
    """Return the reserved name of a sandbox."""
    return f"{metadata.name}_{metadata.namespace}_{metadata.uid}_{metadata.attempt}"


def container_name(metadata: pb.ContainerMetadata, sandbox: pb.PodSandboxMetadata) -> str:
    """Return the reserved name of a container."""
    return f"{metadata.name}_{sandbox.name}_{sandbox.namespace}_{sandbox.uid}_{metadata.attempt}"


def namespace_options(config: pb.PodSandboxConfig) -> pb.NamespaceOption:
    """Return the sandbox's namespace options; absent means all zero, which is POD."""
    return config.linux.security_context.namespace_options


def started(record: Container, now: int) -> Container:
    """CREATED -> RUNNING."""
    return dataclasses.replace(record, state=ContainerState.RUNNING, started_at=now)


def exited(
    record: Container, *, code: int, now: int, is_oom: bool = False, reason: str = "", message: str = ""
) -> Container:
    """CREATED or RUNNING -> EXITED; an exited record stays as it is.

    reason: empty derives it: OOMKilled, Completed (code 0) or Error.
    """
    if record.state is ContainerState.EXITED:
        return record
    if not reason:
        reason = "OOMKilled" if is_oom else "Completed" if code == 0 else "Error"
    return dataclasses.replace(
        record,
        state=ContainerState.EXITED,
        finished_at=now,
        exit_code=code,
        reason=reason,
        message=message,
    )


def lost(record: Container, now: int) -> Container:
    """Mark a container whose exit nobody saw."""
    return exited(
        record, code=UNKNOWN_EXIT_CODE, now=now, reason=UNKNOWN_REASON, message="exit status was not observed"
    )
