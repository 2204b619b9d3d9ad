"""Whether a container that ended starts again: its rules by exit code, its policy, its Pod's. Pure.

A rule may say that all containers of the Pod start again. They do so in their sandbox: what was planned
before that exit was seen is of an earlier round, is killed without grace, and counts for nothing in what
comes next, so that the Pod begins with its first init container. Upstream removes such containers from the
runtime; here they stay, as what was there last. Each carries the round it was planned in: its age says
nothing, for the exit may come while the containers after it in the same plan are yet to be made.
Source: KEP-5307, KEP-5532, pkg/api/v1/pod/util.go ContainerShouldRestart.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, State

Object = Mapping[str, Any]

ALL: str = "RestartAllContainers"


def restarts(pod: Object, container: Object, exit_code: int) -> bool:
    """Tell whether a container starts again after this exit."""
    if action(container, exit_code):
        return True
    policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy") or "Always"
    return bool(policy == "Always" or (policy == "OnFailure" and exit_code != 0))


def action(container: Object, exit_code: int) -> str:
    """Return what the first rule says that knows this exit, "" if none does."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        is_named = exit_code in (codes.get("values") or ())
        if codes.get("operator") == ("In" if is_named else "NotIn"):
            return str(rule.get("action") or "")
    return ""


def may_restart_all(pod: Object) -> bool:
    """Tell whether a rule of some container restarts all."""
    rules = (rule for each in _containers(pod) for rule in each.get("restartPolicyRules") or ())
    return any(rule.get("action") == ALL for rule in rules)


def round_began(pod: Object, view: PodView) -> int:
    """Return when all containers were last to start again, nanoseconds since the epoch; 0: never."""
    exits = (
        attempt.finished_at
        for container in _containers(pod)
        if container.get("restartPolicyRules")
        for attempt in view.attempts(container["name"])
        if attempt.state is State.EXITED and action(container, attempt.exit_code) == ALL
    )
    return max(exits, default=0)


def divided(pod: Object, view: PodView) -> tuple[PodView, tuple[ContainerView, ...]]:
    """Return a Pod without the containers of earlier rounds, and those of them that have not ended yet."""
    began = round_began(pod, view)
    if not began:
        return view, ()
    names = {container["name"] for container in _containers(pod)}
    former = {each.id for each in view.containers if each.name in names and _is_before(each, began)}
    present = tuple(each for each in view.containers if each.id not in former)
    alive = (each for each in view.containers if each.id in former and each.state is not State.EXITED)
    return dataclasses.replace(view, containers=present), tuple(alive)


def restarting(pod: Object, view: PodView) -> frozenset[str]:
    """Name the containers that are yet to start again with all others, however they ended."""
    present, _ = divided(pod, view)
    names = {container["name"] for container in _containers(pod)}
    return frozenset(name for name in names if view.latest(name) and not present.latest(name))


def annotations(pod: Object, view: PodView) -> dict[str, str]:
    """Return what a container carries that is started because of this view."""
    return {labels.ROUND: str(round_began(pod, view))} if may_restart_all(pod) else {}


def _is_before(container: ContainerView, began: int) -> bool:
    number = container.annotations.get(labels.ROUND, "")
    return int(number) < began if number.isdecimal() else container.created_at <= began


def _containers(pod: Object) -> tuple[Object, ...]:
    return (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
