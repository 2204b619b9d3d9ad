"""Stops containers gracefully: preStop, the stop signal, and a kill when the grace period is over.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go killContainer, kuberuntime_termination_order.go.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.client.events import reference_to
from nanokube.kubelet import hooks
from nanokube.kubelet.containers import labels
from nanokube.kubelet.images import field_path
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.podview import ContainerView, PodView

Object = Mapping[str, Any]

MIN_GRACE_S = 2.0  # what is left after preStop took it all
DEFAULT_GRACE_S = 30.0


def grace_period(pod: Object) -> float:
    """Return a Pod's grace period: the deletion's own, else the spec's."""
    for value in (
        pod["metadata"].get("deletionGracePeriodSeconds"),
        pod["spec"].get("terminationGracePeriodSeconds"),
    ):
        if value is not None:
            return float(value)
    return DEFAULT_GRACE_S


async def stop_container(
    env: Env,
    pod: Object,
    view: ContainerView,
    *,
    message: str = "",
    grace_s: float,
    pod_ips: Sequence[str] = (),
) -> None:
    """Stop one container. Raises RuntimeFault."""
    spec = container_spec(pod, view.name)
    about = reference_to(pod, field_path=field_path(pod, view.name))
    env.recorder.event(about, "Normal", "Killing", message or f"Stopping container {view.name}")
    hook = ((spec or {}).get("lifecycle") or {}).get("preStop") or _annotated_hook(view)
    left = grace_s
    if hook and grace_s > 0 and view.is_running:
        began = env.clock.monotonic()
        await _pre_stop(env, hook, spec or {"name": view.name}, view, about, grace_s, pod_ips)
        left = max(grace_s - (env.clock.monotonic() - began), MIN_GRACE_S)
    await env.runtime.stop_container(view.id, left)


async def _pre_stop(
    env: Env,
    hook: Object,
    spec: Object,
    view: ContainerView,
    about: Object,
    grace_s: float,
    pod_ips: Sequence[str],
) -> None:
    ip = pod_ips[0] if pod_ips else env.config.first_ip
    try:
        async with asyncio.timeout(grace_s):
            outcome = await hooks.run(env.runtime, hook, spec, view.id, ip, grace_s)
    except TimeoutError:
        return
    if not outcome.is_success:
        env.recorder.event(about, "Warning", "FailedPreStopHook", "PreStopHook failed")


def _annotated_hook(view: ContainerView) -> Object | None:
    """Read the hook off a container whose Pod object is gone."""
    text = view.annotations.get(labels.PRE_STOP)
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def container_spec(pod: Object, name: str) -> Object | None:
    """Find a container of any sort in a Pod's spec."""
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in pod["spec"].get(field) or ():
            if container["name"] == name:
                return container  # type: ignore[no-any-return]
    return None


async def stop_all(env: Env, pod: Object, view: PodView, grace_s: float) -> None:
    """Stop every container of a Pod, then its sandboxes. Sidecars go last, in reverse order.

    Raises RuntimeFault, in an ExceptionGroup where several containers are stopped.
    """
    deadline = env.clock.monotonic() + grace_s
    sidecars = [
        c["name"] for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"
    ]
    ordinary = [c for c in view.running if c.name not in sidecars]
    await _stop_group(env, pod, ordinary, grace_s, view)
    for name in reversed(sidecars):
        left = max(deadline - env.clock.monotonic(), min(grace_s, MIN_GRACE_S))
        await _stop_group(env, pod, [c for c in view.running if c.name == name], left, view)
    for sandbox in view.sandboxes:
        if sandbox.is_ready:
            await env.runtime.stop_sandbox(sandbox.id)


async def _stop_group(
    env: Env, pod: Object, containers: Sequence[ContainerView], grace_s: float, view: PodView
) -> None:
    async with asyncio.TaskGroup() as group:
        for container in containers:
            group.create_task(stop_container(env, pod, container, grace_s=grace_s, pod_ips=view.ips))


async def remove_all(env: Env, view: PodView) -> None:
    """Remove what stopped: containers, then sandboxes. Raises RuntimeFault."""
    for container in view.containers:
        await env.runtime.remove_container(container.id)
    for sandbox in view.sandboxes:
        await env.runtime.remove_sandbox(sandbox.id)
