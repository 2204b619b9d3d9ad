"""What the runtime is told of a Pod's sandbox: its configuration, its users, and who runs it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import resources
from nanokube.kubelet.containers import build, dns, security
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.runtime import FaultKind, RuntimeFault
from nanokube.kubelet.user_namespaces import NoRange

Object = Mapping[str, Any]


async def configuration(env: Env, pod: Object, attempt: int) -> pb.PodSandboxConfig:
    """Build the configuration of a Pod's sandbox. Raises RuntimeFault."""
    resolver = dns.for_pod(
        pod,
        cluster_dns=env.config.cluster_dns,
        cluster_domain=env.config.cluster_domain,
        host=env.host_resolver(),
    )
    return build.sandbox(pod, attempt, env.config, resolver, await _first_id(env, pod))


async def handler(env: Env, pod: Object) -> str:
    """Return the runtime handler of a Pod's RuntimeClass; "" is the default. Raises ApiError, OSError."""
    name = pod["spec"].get("runtimeClassName") or ""
    if not name:
        return ""
    found = await env.client.get(resources.get("runtimeclasses.node.k8s.io"), name)
    return str(found.get("handler") or "")


async def _first_id(env: Env, pod: Object) -> int | None:
    """Return where a Pod's own ids begin on the host; None if it has the host's. Raises RuntimeFault."""
    if not security.has_own_users(pod):
        return None
    try:
        return await asyncio.to_thread(env.user_namespaces.of, pod["metadata"]["uid"])
    except NoRange as error:
        raise RuntimeFault(FaultKind.OTHER, str(error)) from error
