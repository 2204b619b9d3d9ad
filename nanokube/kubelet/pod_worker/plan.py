"""What to do about one Pod next. Pure: spec, what the runtime has, probe results and back-offs in, Plan out.

Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go computePodActions, kuberuntime_container.go
computeInitContainerActions.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nanokube.kubelet.backoff import Backoffs
from nanokube.kubelet.containers import labels
from nanokube.kubelet.pod_worker import restart
from nanokube.kubelet.podview import ContainerView, PodView, State
from nanokube.kubelet.probes.results import Kind, Results, Verdict

Object = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """A container to stop and what its event says; reason: "", Unhealthy, StartupUnhealthy, Unknown.

    has_grace: it may take its time to end.
    """

    container: ContainerView
    message: str
    reason: str = ""
    has_grace: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """A container that must wait before it is started again."""

    name: str
    until: float
    delay_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """kill_pod stops everything first. Containers are named; init containers start before the others."""

    kill_pod: bool = False
    create_sandbox: bool = False
    attempt: int = 0
    sandbox_id: str = ""
    kill: tuple[Kill, ...] = ()
    init: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    ephemeral: tuple[str, ...] = ()
    delayed: tuple[Delay, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Tell that nothing needs doing now."""
        return not (
            self.kill_pod or self.create_sandbox or self.kill or self.init or self.start or self.ephemeral
        )


def plan(
    pod: Object,
    view: PodView,
    results: Results,
    backoffs: Backoffs,
    now: float,
    resized: Collection[str] = (),
) -> Plan:
    """Decide what brings a Pod that should run closer to its spec.

    resized: names of running containers that get their new size by a restart.
    """
    changed, attempt, sandbox_id = sandbox_changed(pod, view)
    if changed:
        fresh = _fresh(pod, view, attempt, sandbox_id)
        if any((c := view.latest(name)) is not None and c.has_succeeded for name in fresh.init):
            return fresh  # if it waited, it would count as done in the new sandbox
        init, held_init = _paced(pod, view, fresh.init, backoffs, now)
        start, held = _paced(pod, view, fresh.start, backoffs, now)
        return dataclasses.replace(fresh, init=init, start=start, delayed=held_init + held)
    present, former = restart.divided(pod, view)
    if former:
        message = "Restarting all containers of the pod"
        kill = tuple(Kill(each, message, restart.ALL, has_grace=False) for each in former)
        return Plan(attempt=attempt, sandbox_id=sandbox_id, kill=kill)
    draft = _Draft(pod, present, results, resized)
    initialized = draft.plan_init()
    if draft.failed:
        return Plan(kill_pod=True, attempt=attempt, sandbox_id=sandbox_id)
    if initialized:
        draft.plan_containers()
    if initialized and not draft.keep and not draft.start:
        return Plan(kill_pod=True, attempt=attempt, sandbox_id=sandbox_id)
    ephemeral = tuple(
        c["name"] for c in pod["spec"].get("ephemeralContainers") or () if view.latest(c["name"]) is None
    )
    init, held_init = _paced(pod, view, draft.init, backoffs, now)
    start, held = _paced(pod, view, draft.start, backoffs, now)
    return Plan(
        attempt=attempt,
        sandbox_id=sandbox_id,
        kill=tuple(draft.kill),
        init=init,
        start=start,
        ephemeral=ephemeral,
        delayed=held_init + held,
    )


def sandbox_changed(pod: Object, view: PodView) -> tuple[bool, int, str]:
    """Return whether a new sandbox is needed, its attempt (or the present one's), and the present id.

    Source: pkg/kubelet/kuberuntime/util/util.go PodSandboxChanged.
    """
    if not view.sandboxes:
        return True, 0, ""
    newest = view.sandboxes[0]
    ready = [box for box in view.sandboxes if box.is_ready]
    if len(ready) > 1 or not newest.is_ready:
        return True, newest.attempt + 1, newest.id
    is_host = bool(pod["spec"].get("hostNetwork"))
    if newest.is_host_network != is_host:
        return True, newest.attempt + 1, ""
    if not is_host and not newest.ips:
        return True, newest.attempt + 1, newest.id
    return False, newest.attempt, newest.id


def _fresh(pod: Object, view: PodView, attempt: int, sandbox_id: str) -> Plan:
    """Plan from the beginning: everything of the old sandbox goes."""
    spec = pod["spec"]
    policy = spec.get("restartPolicy") or "Always"
    gone = Plan(kill_pod=True, attempt=attempt, sandbox_id=sandbox_id)
    if policy == "Never" and attempt != 0 and view.containers:
        return gone
    start = []
    for container in spec["containers"]:
        latest = view.latest(container["name"])
        is_once = (container.get("restartPolicy") or policy) == "OnFailure"
        if is_once and latest is not None and latest.has_succeeded:
            continue
        start.append(container["name"])
    if not start and any(view.latest(c["name"]) for c in spec["containers"]):
        return gone
    init = spec.get("initContainers") or ()
    return dataclasses.replace(
        gone,
        create_sandbox=True,
        init=(init[0]["name"],) if init else (),
        start=() if init else tuple(start),
    )


def is_sidecar(container: Object) -> bool:
    """Tell whether an init container keeps running beside the others."""
    return container.get("restartPolicy") == "Always"


def should_restart(pod: Object, container: Object, latest: ContainerView | None) -> bool:
    """Tell whether a container that does not run is to be started."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    if latest is None or latest.state in (State.UNKNOWN, State.CREATED):
        return True
    return latest.state is State.EXITED and restart.restarts(pod, container, latest.exit_code)


class _Draft:
    """A plan under construction."""

    def __init__(self, pod: Object, view: PodView, results: Results, resized: Collection[str]) -> None:
        self.pod = pod
        self.view = view
        self.results = results
        self.resized = resized
        self.kill: list[Kill] = []
        self.init: list[str] = []
        self.start: list[str] = []
        self.keep = 0
        self.failed = False

    def plan_init(self) -> bool:
        """Plan init containers, last one first: the last that exists tells how far initialization came.

        Returns whether initialization is complete.
        """
        containers = self.pod["spec"].get("initContainers") or ()
        if not containers:
            return True
        initialized = any(
            (latest := self.view.latest(c["name"])) is not None
            and latest.state in (State.CREATED, State.RUNNING)
            for c in self.pod["spec"]["containers"]
        )
        seen = initialized
        for index in reversed(range(len(containers))):
            container = containers[index]
            latest = self.view.latest(container["name"])
            if latest is None:
                if seen and is_sidecar(container):
                    self.init.append(container["name"])
                continue
            if seen and not is_sidecar(container):
                continue
            following = containers[index + 1]["name"] if index + 1 < len(containers) else None
            complete = (self._sidecar if is_sidecar(container) else self._step)(container, latest)
            if complete and following is None:
                initialized = True
            elif complete and not seen and following:
                self.init.append(following)
            if self.failed:
                return False
            seen = True
        if not seen:
            self.init.append(containers[0]["name"])
        self.init = list(dict.fromkeys(reversed(self.init)))
        return initialized

    def _step(self, container: Object, latest: ContainerView) -> bool:
        """Plan an ordinary init container; return whether it is done."""
        match latest.state:
            case State.CREATED:
                self.init.append(container["name"])
            case State.EXITED:
                if latest.exit_code == 0:
                    return True
                self._again_or_fail(container, latest)
            case State.UNKNOWN:
                self._kill_unknown(latest, "Init container")
                self._again_or_fail(container, latest)
        return False

    def _again_or_fail(self, container: Object, latest: ContainerView) -> None:
        exit_code = latest.exit_code or 137  # what is unknown is killed
        if restart.restarts(self.pod, container, exit_code):
            self.init.append(container["name"])
        else:
            self.failed = True

    def _sidecar(self, container: Object, latest: ContainerView) -> bool:
        """Plan a sidecar; return whether it has started, so that the next init container may."""
        name = container["name"]
        if latest.state is State.UNKNOWN:
            self._kill_unknown(latest, "Init container")
        if latest.state is not State.RUNNING:
            self.init.append(name)
            return False
        if container.get("startupProbe"):
            verdict = self.results.get(latest.id, Kind.STARTUP)
            if verdict is Verdict.FAILURE:
                self._kill(latest, f"Init container {name} failed startup probe", "StartupUnhealthy")
                self.init.append(name)
            if verdict is not Verdict.SUCCESS:
                return False
        if latest.hash and latest.hash != labels.container_hash(container):
            self._kill(latest, f"Init container {name} definition changed")
            self.init.append(name)
        elif self.results.get(latest.id, Kind.LIVENESS) is Verdict.FAILURE:
            self._kill(latest, f"Init container {name} failed liveness probe", "Unhealthy")
            self.init.append(name)
        elif name in self.resized:
            self._kill(latest, f"Container {name} resize requires restart")
            self.init.append(name)
        return True

    def plan_containers(self) -> None:
        """Plan the ordinary containers."""
        for container in self.pod["spec"]["containers"]:
            latest = self.view.latest(container["name"])
            if latest is None or latest.state is not State.RUNNING:
                if not should_restart(self.pod, container, latest):
                    continue
                self.start.append(container["name"])
                if latest is not None and latest.state is State.UNKNOWN:
                    self._kill_unknown(latest, "Container")
                continue
            self._running(container, latest)

    def _running(self, container: Object, latest: ContainerView) -> None:
        """Keep a running container, or kill it, and start it anew if it is to be restarted."""
        name = container["name"]
        policy = container.get("restartPolicy") or self.pod["spec"].get("restartPolicy") or "Always"
        is_again = policy != "Never"
        if latest.hash and latest.hash != labels.container_hash(container):
            message, reason, is_again = f"Container {name} definition changed", "", True
        elif self.results.get(latest.id, Kind.LIVENESS) is Verdict.FAILURE:
            message, reason = f"Container {name} failed liveness probe", "Unhealthy"
        elif self.results.get(latest.id, Kind.STARTUP) is Verdict.FAILURE:
            message, reason = f"Container {name} failed startup probe", "StartupUnhealthy"
        elif name in self.resized:
            self._kill(latest, f"Container {name} resize requires restart")
            self.start.append(name)
            return
        else:
            self.keep += 1
            return
        if is_again:
            message += ", will be restarted"
            self.start.append(name)
        self._kill(latest, message, reason)

    def _kill(self, latest: ContainerView, message: str, reason: str = "") -> None:
        self.kill.append(Kill(latest, message, reason))

    def _kill_unknown(self, latest: ContainerView, what: str) -> None:
        self._kill(latest, f'{what} is in "unknown" state, try killing it before restart', "Unknown")


def backoff_key(pod: Object, container_name: str) -> str:
    """Key a container's back-off; another image starts anew."""
    spec = next(
        (
            c
            for c in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
            if c["name"] == container_name
        ),
        {"name": container_name},
    )
    return f"{pod['metadata']['uid']}/{container_name}/{labels.container_hash(spec)}"


def last_exit(view: PodView, name: str) -> float:
    """Return when a container's newest dead attempt ended, seconds since the epoch; 0 when none did."""
    dead = (c for c in view.attempts(name) if c.state is State.EXITED)
    return next((c.finished_at / 1e9 for c in dead), 0.0)


def _paced(
    pod: Object, view: PodView, names: Sequence[str], backoffs: Backoffs, now: float
) -> tuple[tuple[str, ...], tuple[Delay, ...]]:
    """Split names into those that may start now and those in back-off."""
    start: list[str] = []
    held: list[Delay] = []
    for name in names:
        since = last_exit(view, name)
        key = backoff_key(pod, name)
        until = backoffs.ready_at(key, since) if since else 0.0
        if until > now:
            held.append(Delay(name, until, backoffs.delay(key)))
        else:
            start.append(name)
    return tuple(start), tuple(held)
