"""Why containers of a Pod are not started, and from when on they may be: after a fault, or in back-off."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from nanokube.client.events import reference_to
from nanokube.kit import backoff
from nanokube.kubelet.images import field_path
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.pod_worker.plan import Plan
from nanokube.kubelet.pod_worker.start import StartFault
from nanokube.kubelet.status.containers import Reason

Object = Mapping[str, Any]


class Waiting:
    """reasons: by name of a container, what its waiting state says."""

    def __init__(self, env: Env) -> None:
        self.reasons: dict[str, Reason] = {}
        self._env = env
        self._retry_at: dict[str, float] = {}
        self._delays: dict[str, backoff.Backoff] = {}

    @property
    def is_any_held(self) -> bool:
        """Tell whether the last start of some container failed."""
        return bool(self._retry_at)

    def hold(self, name: str, fault: StartFault) -> None:
        """Remember why a container did not start and when to try again."""
        self.reasons[name] = Reason(fault.reason, fault.message)
        delays = self._delays.setdefault(name, backoff.Backoff(first_s=1.0, cap_s=10.0, jitter=0))
        now = self._env.clock.time()
        self._retry_at[name] = max(fault.retry_at, now + delays.next())
        if fault.reason == "ErrImagePull":
            self._retry_at[name] = now + 1.0  # to say ImagePullBackOff, which then waits its time

    def forget(self, name: str) -> None:
        """Forget what was known of a container: it started."""
        self.reasons.pop(name, None)
        self._retry_at.pop(name, None)
        self._delays.pop(name, None)

    def moments(self) -> Iterator[float]:
        """Give the times to come at which a container is to be tried again."""
        now = self._env.clock.time()
        return (at for at in self._retry_at.values() if at > now)

    def without_held(self, todo: Plan) -> Plan:
        """Leave out containers whose last start failed a moment ago."""
        now = self._env.clock.time()
        held = {name for name, at in self._retry_at.items() if at > now}
        if not held:
            return todo
        return dataclasses.replace(
            todo,
            init=tuple(name for name in todo.init if name not in held),
            start=tuple(name for name in todo.start if name not in held),
            ephemeral=tuple(name for name in todo.ephemeral if name not in held),
            delayed=tuple(delay for delay in todo.delayed if delay.name not in held),
        )

    def note_delays(self, pod: Object, todo: Plan) -> None:
        """Say that containers wait for their back-off."""
        meta = pod["metadata"]
        where = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        for delay in todo.delayed:
            message = (
                f"back-off {_spelled(delay.delay_s)} restarting failed container={delay.name} pod={where}"
            )
            reason = Reason("CrashLoopBackOff", message)
            if self.reasons.get(delay.name) != reason:
                about = reference_to(pod, field_path=field_path(pod, delay.name))
                text = f"Back-off restarting failed container {delay.name} in pod {where}"
                self._env.recorder.event(about, "Warning", "BackOff", text)
            self.reasons[delay.name] = reason


def _spelled(seconds: float) -> str:
    """Spell a duration as Go does: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
