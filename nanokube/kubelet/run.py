"""The kubelet's entry: wires its parts and runs them until cancelled."""

from collections.abc import Callable
from typing import Never

from nanokube.client.interface import ApiClient
from nanokube.kubelet.config import KubeletConfig

__all__ = ["KubeletConfig", "run"]


async def run(config: KubeletConfig, client: ApiClient, ready: Callable[[], None] | None = None) -> Never:
    """Run one node's Pods until cancelled.

    ready: called once, when the Node is registered, the runtime answers and the server listens.
    """
    raise NotImplementedError
