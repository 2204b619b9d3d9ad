"""What every controller is given."""

import dataclasses
from collections.abc import Mapping
from typing import Never, Protocol

from nanokube.client import informer
from nanokube.client.events import Recorder
from nanokube.client.interface import ApiClient
from nanokube.kit import pki
from nanokube.kit.clock import SYSTEM, Clock


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """Settings of the controllers.

    root_ca: PEM published in every namespace as ConfigMap kube-root-ca.crt; empty publishes none.
    authority: signs approved certificate requests; without one none is signed.
    server: URL of the API server as other hosts reach it, for those that join; empty publishes none.
    cluster_cidr: ranges of all Pods, one a family, with commas between; node_mask_bits of it for each node.
    load_balancer_pool: addresses for Services of type LoadBalancer (service_lb.parse); empty: none.
    shared_settings: what every node of the cluster must be told, published for those that join.
    """

    root_ca: str = ""
    authority: pki.Authority | None = None
    server: str = ""
    shared_settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    cluster_cidr: str = "10.244.0.0/16"
    load_balancer_pool: str = ""
    node_mask_bits: int = 24
    node_mask_bits_ipv6: int = 64
    node_grace_s: float = 40.0
    node_check_s: float = 5.0
    terminated_pods_kept: int = 12500  # kube-controller-manager's --terminated-pod-gc-threshold


@dataclasses.dataclass(frozen=True, slots=True)
class Env:
    """The client, the shared caches, the recorder factory and the clock."""

    client: ApiClient
    informers: informer.Factory
    events: Recorder
    clock: Clock = SYSTEM
    options: Options = Options()


class Controller(Protocol):
    """One control loop; made from an Env, run until cancelled."""

    async def run(self) -> Never: ...
