"""One probe of one running container: asks on its period and turns streaks into verdicts.

Source: pkg/kubelet/prober/worker.go, prober.go.
"""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nanokube.kubelet import actions
from nanokube.kubelet.actions import Outcome
from nanokube.kubelet.probes.results import Kind, Results, Verdict
from nanokube.kubelet.runtime import Runtime

Object = Mapping[str, Any]

ATTEMPTS = 3  # prober.go: maxProbeRetries, for answers that say nothing


@dataclasses.dataclass(slots=True)
class Streak:
    """Counts equal outcomes; a verdict needs as many as its threshold. Pure."""

    success_threshold: int
    failure_threshold: int
    is_success: bool | None = None
    count: int = 0

    def add(self, is_success: bool) -> Verdict | None:
        """Count an outcome; return the verdict once its threshold is reached."""
        self.count = self.count + 1 if self.is_success is is_success else 1
        self.is_success = is_success
        if is_success:
            return Verdict.SUCCESS if self.count >= self.success_threshold else None
        return Verdict.FAILURE if self.count >= self.failure_threshold else None


FIELDS = {
    Kind.LIVENESS: "livenessProbe",
    Kind.READINESS: "readinessProbe",
    Kind.STARTUP: "startupProbe",
}
_INITIAL = {
    Kind.LIVENESS: Verdict.SUCCESS,
    Kind.READINESS: Verdict.FAILURE,
    Kind.STARTUP: Verdict.UNKNOWN,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What is probed. started_at: seconds since the epoch."""

    container: Object
    container_id: str
    pod_ip: str
    started_at: float


async def watch(
    target: Target,
    kind: Kind,
    runtime: Runtime,
    results: Results,
    tell: Callable[[Kind, Outcome], None],
    now: Callable[[], float],
) -> None:
    """Probe until cancelled, or until a verdict ends it: startup success, liveness or startup failure.

    tell: called with every outcome that is not plain success.
    """
    probe = target.container[FIELDS[kind]]
    if results.get(target.container_id, kind) is None:
        results.set(target.container_id, kind, _INITIAL[kind])
    period_s = float(probe.get("periodSeconds") or 10)
    # After a restart of the kubelet the probes of all Pods would fall together.
    since = now() - target.started_at
    if since > period_s:
        await asyncio.sleep(random.random() * min(period_s, 5.0))
    streak = Streak(probe.get("successThreshold") or 1, probe.get("failureThreshold") or 3)
    delay_s = float(probe.get("initialDelaySeconds") or 0) - (now() - target.started_at)
    if delay_s > 0:
        await asyncio.sleep(delay_s)
    while True:
        if kind is Kind.STARTUP or _has_started(target, results):
            outcome = await _try(lambda: ask(probe, target, runtime))
            if outcome.result != "success":
                tell(kind, outcome)
            verdict = streak.add(outcome.is_success)
            if verdict is not None:
                results.set(target.container_id, kind, verdict)
            if _is_over(kind, verdict):
                return
        await asyncio.sleep(period_s if streak.count else min(period_s, 0.5))


def _has_started(target: Target, results: Results) -> bool:
    """Tell whether a startup probe, if there is one, has succeeded."""
    if not target.container.get(FIELDS[Kind.STARTUP]):
        return True
    return results.get(target.container_id, Kind.STARTUP) is Verdict.SUCCESS


def _is_over(kind: Kind, verdict: Verdict | None) -> bool:
    if verdict is Verdict.SUCCESS:
        return kind is Kind.STARTUP
    return verdict is Verdict.FAILURE and kind is not Kind.READINESS


async def _try(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    outcome = Outcome("unknown")
    for _ in range(ATTEMPTS):
        outcome = await attempt()
        if outcome.result != "unknown":
            break
    return outcome


async def ask(probe: Object, target: Target, runtime: Runtime) -> Outcome:
    """Probe once."""
    timeout_s = float(probe.get("timeoutSeconds") or 1)
    if action := probe.get("exec"):
        command = list(action.get("command") or ())
        return await actions.run_command(runtime, target.container_id, command, timeout_s)
    if action := probe.get("httpGet"):
        return await actions.get(action, target.container, target.pod_ip, timeout_s, "kube-probe/1.36")
    if action := probe.get("tcpSocket"):
        try:
            port = actions.find_port(target.container, action["port"])
        except ValueError:
            return Outcome("unknown", f"couldn't find port {action['port']!r}")
        return await actions.connect(action.get("host") or target.pod_ip, port, timeout_s)
    if action := probe.get("grpc"):
        service = action.get("service") or ""
        return await actions.check_grpc(target.pod_ip, int(action["port"]), service, timeout_s)
    return Outcome("unknown", "missing probe handler")
