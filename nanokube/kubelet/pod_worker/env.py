"""What every Pod worker of a node shares."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanokube.api.objects import Object
from nanokube.client.events import Recorder
from nanokube.client.interface import ApiClient
from nanokube.kit import clock as clock_
from nanokube.kubelet.backoff import Backoffs
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers.dns import Resolver
from nanokube.kubelet.images import Images
from nanokube.kubelet.references import References
from nanokube.kubelet.runtime import Runtime
from nanokube.kubelet.status.manager import StatusManager
from nanokube.kubelet.user_namespaces import UserNamespaces
from nanokube.kubelet.volumes.manager import Volumes

Attached = Callable[[Object, Sequence[str]], Awaitable[None]]


async def at_once(_pod: Object, _ips: Sequence[str]) -> None:
    """Have nothing to do for a Pod that was attached to the network."""


@dataclasses.dataclass(frozen=True, slots=True)
class Env:
    """The node's parts. services: gives the cluster's Services; host_resolver: the node's own resolver.

    cgroups: mount points of the hierarchies in which Pods have cgroups. is_unified: v2 alone.
    attached(pod, addresses): awaited before containers start in a sandbox that has addresses.
    """

    config: KubeletConfig
    client: ApiClient
    runtime: Runtime
    images: Images
    references: References
    volumes: Volumes
    statuses: StatusManager
    recorder: Recorder
    services: Callable[[], list[dict[str, Any]]]
    host_resolver: Callable[[], Resolver]
    allocatable: Mapping[str, str]
    node_memory: int
    user_namespaces: UserNamespaces
    cgroups: Sequence[Path] = ()
    is_unified: bool = False
    attached: Attached = at_once
    backoffs: Backoffs = dataclasses.field(default_factory=Backoffs)
    clock: clock_.Clock = clock_.SYSTEM
