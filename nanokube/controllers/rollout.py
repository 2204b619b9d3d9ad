"""How large each ReplicaSet of a Deployment shall be next. Pure.

Source: pkg/controller/deployment/{rolling,recreate,sync}.go, util/deployment_util.go.
"""

from collections.abc import Sequence
from typing import TypeAlias

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.controllers import revisions, shares

Sizes: TypeAlias = dict[str, int]  # ReplicaSet name -> spec.replicas it shall have


def desired(deployment: Object) -> int:
    """Give spec.replicas, 1 if unset."""
    return objects.replicas(deployment)


def size(replicaset: Object) -> int:
    """Give a ReplicaSet's spec.replicas."""
    return objects.replicas(replicaset)


def total(replicasets: Sequence[Object]) -> int:
    """Add the ReplicaSets' spec.replicas."""
    return sum(map(size, replicasets))


def available(replicasets: Sequence[Object]) -> int:
    """Add the ReplicaSets' available replicas."""
    return sum(int(objects.status(rs).get("availableReplicas") or 0) for rs in replicasets)


def is_rolling(deployment: Object) -> bool:
    """Tell whether the strategy is RollingUpdate."""
    strategy = objects.spec(deployment).get("strategy") or {}
    return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")


def bounds(deployment: Object) -> tuple[int, int]:
    """Give (maxSurge, maxUnavailable) in Pods; (0, 0) unless rolling.

    Percentages round surge up and unavailable down; if both came to 0 nothing could move, so one may be
    unavailable.
    """
    if not is_rolling(deployment):
        return 0, 0
    rolling = (objects.spec(deployment).get("strategy") or {}).get("rollingUpdate") or {}
    count = desired(deployment)
    surge = shares.resolve(rolling.get("maxSurge", "25%"), count, up=True)
    unavailable = shares.resolve(rolling.get("maxUnavailable", "25%"), count, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, count)


def most(deployment: Object) -> int:
    """Give how many Pods there may be in all."""
    return desired(deployment) + bounds(deployment)[0]


def new_size(deployment: Object, replicasets: Sequence[Object], new: Object | None) -> int:
    """Give the size the new ReplicaSet (None: not made yet) may grow to now."""
    now = size(new) if new is not None else 0
    if not is_rolling(deployment):
        return desired(deployment)
    room = most(deployment) - total(replicasets)
    return now if room <= 0 else now + min(room, desired(deployment) - now)


def rolling_step(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """Take one step of a rolling update: grow the new ReplicaSet if it may, else shrink the old ones."""
    every = [*old, new]
    goal = desired(deployment)
    if size(new) != goal:
        grown = goal if size(new) > goal else new_size(deployment, every, new)
        if grown != size(new):
            return {objects.name(new): grown}
    return _shrink(deployment, new, [rs for rs in old if size(rs) > 0])


def _shrink(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """Take down old Pods that are unavailable anyway, then as many as availability allows."""
    if not old:
        return {}
    least = desired(deployment) - bounds(deployment)[1]
    new_unavailable = size(new) - available([new])
    spare = total(old) + size(new) - least - new_unavailable
    if spare <= 0:
        return {}
    sizes: Sizes = {}
    ordered = sorted(old, key=revisions.by_age)
    for replicaset in ordered:
        unhealthy = size(replicaset) - available([replicaset])
        if spare > 0 and unhealthy > 0:
            taken = min(spare, unhealthy)
            sizes[objects.name(replicaset)] = size(replicaset) - taken
            spare -= taken
    surplus = available([*old, new]) - least
    for replicaset in ordered:
        now = sizes.get(objects.name(replicaset), size(replicaset))
        if surplus > 0 and now > 0:
            taken = min(now, surplus)
            sizes[objects.name(replicaset)] = now - taken
            surplus -= taken
    return sizes


def recreate_step(
    deployment: Object, new: Object | None, old: Sequence[Object], *, old_pods_remain: bool
) -> Sizes:
    """Take one step of a recreation: the old to nothing; when their Pods are gone, the new to its goal."""
    down = {objects.name(rs): 0 for rs in old if size(rs) > 0}
    if down or old_pods_remain or new is None or size(new) == desired(deployment):
        return down
    return {objects.name(new): desired(deployment)}


def is_scaling(deployment: Object, replicasets: Sequence[Object]) -> bool:
    """Tell whether spec.replicas changed since the active ReplicaSets were last sized."""
    noted = (objects.annotations(rs).get(revisions.DESIRED, "") for rs in replicasets if size(rs) > 0)
    return any(text.isdigit() and int(text) != desired(deployment) for text in noted)


def scale(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """Resize after spec.replicas changed, or while paused: in proportion if a rollout is under way.

    Every ReplicaSet named in the answer gets its size annotations renewed, even when its size stays.
    """
    every = [*old, *([new] if new is not None else [])]
    active = [rs for rs in every if size(rs) > 0]
    goal = desired(deployment)
    if len(active) <= 1:
        only = active[0] if active else new or max(old, key=revisions.by_age, default=None)
        return {objects.name(only): goal} if only is not None and size(only) != goal else {}
    if new is not None and _is_saturated(deployment, new):
        return {objects.name(rs): 0 for rs in active if rs is not new}
    return _proportional(deployment, active) if is_rolling(deployment) else {}


def _proportional(deployment: Object, active: Sequence[Object]) -> Sizes:
    allowed = most(deployment) if desired(deployment) > 0 else 0
    to_add = allowed - total(active)
    newest_first = sorted(active, key=revisions.by_age, reverse=to_add > 0)
    ordered = sorted(newest_first, key=size, reverse=True)
    sizes: Sizes = {objects.name(rs): size(rs) for rs in ordered}
    added = 0
    for replicaset in ordered if to_add else ():
        share, left = _share(deployment, replicaset), to_add - added
        share = min(share, left) if to_add > 0 else max(share, left)
        sizes[objects.name(replicaset)] += share
        added += share
    if ordered and to_add:
        largest = objects.name(ordered[0])
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(deployment: Object, replicaset: Object) -> int:
    """Give how many Pods a ReplicaSet gains (or loses) to keep its part of the whole."""
    if desired(deployment) == 0:
        return -size(replicaset)
    text = objects.annotations(replicaset).get(revisions.MAX, "")
    before = int(text) if text.isdigit() else 0
    before = before or int(objects.status(deployment).get("replicas") or 0)
    if before == 0:
        return 0
    return int(size(replicaset) * most(deployment) / before + 0.5) - size(replicaset)


def _is_saturated(deployment: Object, new: Object) -> bool:
    goal = desired(deployment)
    noted = objects.annotations(new).get(revisions.DESIRED)
    return noted == str(goal) and size(new) == goal and available([new]) == goal
