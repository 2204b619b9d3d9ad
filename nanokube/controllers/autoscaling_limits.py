"""How fast an autoscaler may follow what its metrics ask for: windows, policies, bounds. Pure.

Recommendations of the past hold it back (a window in which the highest counts before scaling down, the lowest
before scaling up), then policies limit the change within a period, then the bounds.
Source: pkg/controller/podautoscaler/horizontal.go (normalizeDesiredReplicas and what follows).
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Final

from nanokube.api.objects import Object

DOWN_WINDOW_S: Final = 300  # --horizontal-pod-autoscaler-downscale-stabilization
FACTOR: Final = 2  # without policies replicas at most double at once,
LEAST: Final = 4  # or become this many
_RECENT: Final = "recent recommendations were {} than current one, applying the {} recent recommendation"
_HIGHEST: Final = _RECENT.format("higher", "highest")
_LOWEST: Final = _RECENT.format("lower", "lowest")
_TOO_FAST: Final = "the desired replica count is {} faster than the maximum scale rate"

Dated = tuple[float, int]  # time, count


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A condition of the autoscaler's status."""

    type: str
    is_true: bool
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """The past of one autoscaler: what was recommended, how many replicas came and went."""

    recommended: tuple[Dated, ...] = ()
    added: tuple[Dated, ...] = ()
    removed: tuple[Dated, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Limited:
    """How many replicas there should be now, why, and what to remember."""

    replicas: int
    conditions: tuple[Condition, ...]
    memory: Memory


def limit(spec: Object, memory: Memory, current: int, wanted: int, now: float) -> Limited:
    """Limit the wanted replicas by the autoscaler's spec (defaults filled in) and its past."""
    behavior = spec.get("behavior")
    if behavior is None:
        steady, reason, message = _steadied(memory, wanted, now)
        kept = [each for each in memory.recommended if each[0] >= now - DOWN_WINDOW_S]
        allowed, why, text = _bounded(spec, current, steady)
    else:
        up, down = behavior["scaleUp"], behavior["scaleDown"]
        window = _window(down)
        steady, reason, message = _steadied_by(up, down, memory, current, wanted, now)
        oldest = now - max(window, up.get("stabilizationWindowSeconds") or 0)
        kept = [each for each in memory.recommended if each[0] >= oldest]
        allowed, why, text = _paced(spec, memory, current, steady, now)
    if steady == wanted:
        reason, message = "ReadyForNewScale", "recommended size matches current size"
    conditions = (
        Condition("AbleToScale", True, reason, message),
        Condition("ScalingLimited", allowed != steady, why, text),
    )
    recommended = (*kept, (now, wanted))
    return Limited(allowed, conditions, dataclasses.replace(memory, recommended=recommended))


def scaled(spec: Object, memory: Memory, before: int, after: int, now: float) -> Memory:
    """Remember a change of the replicas; only policies ask for it."""
    behavior = spec.get("behavior")
    if behavior is None or before == after:
        return memory
    if after > before:
        kept = _within(memory.added, behavior["scaleUp"], now)
        return dataclasses.replace(memory, added=(*kept, (now, after - before)))
    kept = _within(memory.removed, behavior["scaleDown"], now)
    return dataclasses.replace(memory, removed=(*kept, (now, before - after)))


def _within(events: Iterable[Dated], rules: Object, now: float) -> list[Dated]:
    longest = max((policy["periodSeconds"] for policy in rules.get("policies") or ()), default=0)
    return [each for each in events if each[0] >= now - longest]


def _window(rules: Object) -> int:
    found = rules.get("stabilizationWindowSeconds")
    return DOWN_WINDOW_S if found is None else int(found)


def _steadied(memory: Memory, wanted: int, now: float) -> tuple[int, str, str]:
    recent = [count for time, count in memory.recommended if time >= now - DOWN_WINDOW_S]
    return max([wanted, *recent]), "ScaleDownStabilized", _HIGHEST


def _steadied_by(
    up: Object, down: Object, memory: Memory, current: int, wanted: int, now: float
) -> tuple[int, str, str]:
    up_s, down_s = up.get("stabilizationWindowSeconds") or 0, _window(down)
    lowest = min([wanted, *(count for time, count in memory.recommended if time > now - up_s)])
    highest = max([wanted, *(count for time, count in memory.recommended if time > now - down_s)])
    steady = min(max(current, lowest), highest)
    if wanted >= current:
        return steady, "ScaleUpStabilized", _LOWEST
    return steady, "ScaleDownStabilized", _HIGHEST


def _bounded(spec: Object, current: int, wanted: int) -> tuple[int, str, str]:
    least, most = int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
    fastest = max(FACTOR * current, LEAST)
    if wanted < least:
        return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    if wanted > fastest and most > fastest:
        return fastest, "ScaleUpLimit", _TOO_FAST.format("increasing")
    if wanted > most:
        return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    return wanted, "DesiredWithinRange", "the desired count is within the acceptable range"


def _paced(spec: Object, memory: Memory, current: int, wanted: int, now: float) -> tuple[int, str, str]:
    least, most = int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
    if wanted > current:
        fastest = max(current, _furthest(spec["behavior"]["scaleUp"], memory, current, now, is_up=True))
        if wanted > min(fastest, most):
            if most > fastest:
                return fastest, "ScaleUpLimit", _TOO_FAST.format("increasing")
            return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    elif wanted < current:
        fastest = min(current, _furthest(spec["behavior"]["scaleDown"], memory, current, now, is_up=False))
        if wanted < max(fastest, least):
            if least < fastest:
                return fastest, "ScaleDownLimit", _TOO_FAST.format("decreasing")
            return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    return wanted, "DesiredWithinRange", "the desired count is within the acceptable range"


def _furthest(rules: Object, memory: Memory, current: int, now: float, *, is_up: bool) -> int:
    """Find where the policies let the replicas be by now."""
    choice = rules.get("selectPolicy") or "Max"
    if choice == "Disabled":
        return current
    found: list[int] = []
    for policy in rules.get("policies") or ():
        since = now - policy["periodSeconds"]
        began = current - _sum(memory.added, since) + _sum(memory.removed, since)
        amount, is_percent = int(policy["value"]), policy["type"] == "Percent"
        if is_up:
            found.append(math.ceil(began * (1 + amount / 100)) if is_percent else began + amount)
        else:
            found.append(int(began * (1 - amount / 100)) if is_percent else began - amount)
    if not found:
        return current
    return max(found) if (choice == "Max") == is_up else min(found)


def _sum(events: Sequence[Dated], since: float) -> int:
    return sum(count for time, count in events if time > since)
