"""Lifecycle hooks: postStart and preStop.

Source: pkg/kubelet/lifecycle/handlers.go.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from nanokube.kubelet import actions
from nanokube.kubelet.actions import Outcome
from nanokube.kubelet.runtime import Runtime

Object = Mapping[str, Any]

HTTP_TIMEOUT_S = 60.0


async def run(
    runtime: Runtime, hook: Object, container: Object, container_id: str, pod_ip: str, timeout_s: float = 0
) -> Outcome:
    """Run a hook to its end. timeout_s: the runtime's limit for a command; 0 for none."""
    if action := hook.get("exec"):
        return await actions.run_command(runtime, container_id, list(action.get("command") or ()), timeout_s)
    if action := hook.get("httpGet"):
        return await actions.get(
            {**action, "port": action.get("port") or 80},
            container,
            pod_ip,
            timeout_s or HTTP_TIMEOUT_S,
            "kube-lifecycle/1.36",
        )
    if action := hook.get("sleep"):
        await asyncio.sleep(float(action.get("seconds") or 0))
        return Outcome("success")
    return Outcome("failure", "cannot run handler: unknown or unsupported type")
