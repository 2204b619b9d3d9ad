"""A Pod as the container runtime sees it: its sandboxes and containers, alive and dead. Pure."""

import dataclasses
import enum
from collections.abc import Mapping

from nanokube.kubelet.containers import labels as labels_


class State(enum.Enum):
    """created -> running -> exited; unknown when the runtime lost track (it is killed before a restart)."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What the runtime enforces now; None where it does not say."""

    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    memory_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerView:
    """One attempt of one container. Times are nanoseconds since the epoch, 0 when it has not happened."""

    id: str
    name: str
    sandbox_id: str
    state: State
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_ref: str = ""
    log_path: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resources: Resources = Resources()
    user: tuple[int, int, tuple[int, ...]] | None = None

    @property
    def restart_count(self) -> int:
        return labels_.restart_count(self.annotations)

    @property
    def hash(self) -> str:
        return self.annotations.get(labels_.HASH, "")

    @property
    def is_running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def has_succeeded(self) -> bool:
        return self.state is State.EXITED and self.exit_code == 0


@dataclasses.dataclass(frozen=True, slots=True)
class SandboxView:
    """One attempt of the Pod's sandbox."""

    id: str
    attempt: int
    is_ready: bool
    created_at: int
    is_host_network: bool = False
    ips: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class PodView:
    """All attempts, newest first."""

    uid: str
    name: str = ""
    namespace: str = ""
    sandboxes: tuple[SandboxView, ...] = ()
    containers: tuple[ContainerView, ...] = ()

    def latest(self, name: str) -> ContainerView | None:
        """Return the newest attempt of a container."""
        return next((c for c in self.containers if c.name == name), None)

    def attempts(self, name: str) -> tuple[ContainerView, ...]:
        """Return every attempt of a container, newest first."""
        return tuple(c for c in self.containers if c.name == name)

    @property
    def ready_sandbox(self) -> SandboxView | None:
        return next((s for s in self.sandboxes if s.is_ready), None)

    @property
    def running(self) -> tuple[ContainerView, ...]:
        return tuple(c for c in self.containers if c.state in (State.RUNNING, State.UNKNOWN))

    @property
    def is_stopped(self) -> bool:
        return not self.running and self.ready_sandbox is None

    @property
    def ips(self) -> tuple[str, ...]:
        return self.sandboxes[0].ips if self.sandboxes and self.sandboxes[0].is_ready else ()
