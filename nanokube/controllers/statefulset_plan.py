"""The next step of a StatefulSet, and its status. Pure.

OrderedReady takes one step at a time: the lowest ordinal that is not there, ready and available is waited
for. Parallel sees to all at once. Updates go from the highest ordinal down, one at a time, in either case.
Source: pkg/controller/statefulset/{stateful_set_control,stateful_set_utils}.go.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.controllers import history, pods, statefulset_claims

NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
_MEMBER = re.compile(r"(.*)-([0-9]+)")


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A StatefulSet with its Pods and claims. current, update: the revisions its Pods may have."""

    statefulset: Object
    owned: Sequence[dict[str, Any]]
    current: Object
    update: Object
    claims: Mapping[str, Object]
    now: float

    @property
    def spec(self) -> Object:
        return objects.spec(self.statefulset)

    @property
    def replicas(self) -> int:
        return objects.replicas(self.statefulset)

    @property
    def start(self) -> int:
        return int((self.spec.get("ordinals") or {}).get("start") or 0)

    @property
    def is_parallel(self) -> bool:
        return self.spec.get("podManagementPolicy") == "Parallel"

    @property
    def is_rolling(self) -> bool:
        strategy = self.spec.get("updateStrategy") or {}
        return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")

    @property
    def partition(self) -> int | None:
        """updateStrategy.rollingUpdate.partition, None without rollingUpdate."""
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate")
        return None if rolling is None else int(rolling.get("partition") or 0)

    def is_available(self, pod: Object) -> bool:
        """Tell whether a Pod serves, and will go on to."""
        min_ready_s = int(self.spec.get("minReadySeconds") or 0)
        return pods.is_available(pod, min_ready_s, self.now) and not objects.is_deleting(pod)


@dataclasses.dataclass(slots=True)
class Plan:
    """Claims and Pods to write, in this order: claims, owners (claims anew), create, update, delete.

    outdated: how many of the deleted Pods go because of an update.
    """

    claims: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    owners: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    create: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    update: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    delete: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    outdated: int = 0


def ordinal_of(pod: Object) -> int:
    """Read a Pod's ordinal from its name; -1 if it has none."""
    match = _MEMBER.fullmatch(objects.name(pod))
    return int(match[2]) if match else -1


def is_member(statefulset: Object, pod: Object) -> bool:
    """Tell whether a Pod's name is one this set gives."""
    match = _MEMBER.fullmatch(objects.name(pod))
    return match is not None and match[1] == objects.name(statefulset)


def plan(view: View) -> Plan:
    """Decide one step."""
    todo = Plan()
    if objects.is_deleting(view.statefulset):
        return todo
    last = view.start + view.replicas
    there = {ordinal_of(pod): pod for pod in view.owned}
    condemned = sorted(
        (pod for ordinal, pod in there.items() if ordinal >= 0 and not view.start <= ordinal < last),
        key=ordinal_of,
        reverse=True,
    )
    for ordinal in range(view.start, last):
        if _see_to(view, ordinal, there.get(ordinal), todo) and not view.is_parallel:
            return todo
    for pod in condemned:
        _set_owners(view, pod, todo, is_condemned=True)
    kept = [there.get(ordinal) for ordinal in range(view.start, last)]
    if _shrink(view, kept, condemned, todo) and view.is_rolling:
        _roll(view, kept, todo)
    return todo


def _see_to(view: View, ordinal: int, pod: dict[str, Any] | None, todo: Plan) -> bool:
    """See to one replica; tell whether those after it have to wait."""
    if pod is None:
        new = made(view, ordinal)
        found = [view.claims[name] for name in _claim_names(view, ordinal) if name in view.claims]
        scaled_away = statefulset_claims.policy(view.statefulset)[1]
        if scaled_away and any(statefulset_claims.is_stale(claim, new) for claim in found):
            return True
        _add_claims(view, ordinal, todo)
        todo.create.append(new)
        return True
    if pods.is_terminal(pod):
        if not objects.is_deleting(pod):
            todo.delete.append(pod)
        return True
    if pods.phase(pod) == "Pending":
        _add_claims(view, ordinal, todo)
    if not view.is_parallel and not (pods.phase(pod) == "Running" and view.is_available(pod)):
        return True
    _set_owners(view, pod, todo, is_condemned=False)
    if not _is_itself(view, ordinal, pod):
        todo.update.append(_itself(view, ordinal, pod))
    return False


def _shrink(
    view: View, kept: Sequence[Object | None], condemned: Sequence[dict[str, Any]], todo: Plan
) -> bool:
    """Delete Pods beyond the count, the highest ordinal first; tell whether none has to be waited for."""
    ascending = [*kept, *reversed(condemned)]
    unwell = next((pod for pod in ascending if pod is None or not view.is_available(pod)), None)
    for pod in condemned:
        if objects.is_deleting(pod):
            if not view.is_parallel:
                return False
            continue
        if not view.is_parallel and not view.is_available(pod) and pod is not unwell:
            return False
        todo.delete.append(pod)
        if not view.is_parallel:
            return False
    return True


def _roll(view: View, kept: Sequence[dict[str, Any] | None], todo: Plan) -> None:
    """Delete the highest replica of an old revision, if all above it are available."""
    for index in range(len(kept) - 1, (view.partition or 0) - 1, -1):
        pod = kept[index]
        if pod is None:
            return
        outdated = objects.labels(pod).get(history.HASH_LABEL) != objects.name(view.update)
        if outdated and not objects.is_deleting(pod):
            if all(pod is not each for each in todo.delete):
                todo.delete.append(pod)
            todo.outdated += 1
            return
        if not view.is_available(pod):
            return


def made(view: View, ordinal: int) -> dict[str, Any]:
    """Build the Pod of an ordinal, of the current revision where an update has not come to it."""
    start, partition = view.start, view.partition
    if partition is None:
        count = int(objects.status(view.statefulset).get("currentReplicas") or 0)
        is_current = view.is_rolling and ordinal < start + count
    else:
        is_current = ordinal < start + partition
    revision = view.current if is_current else view.update
    pod = pods.from_template(history.template_of(revision), view.statefulset)
    meta = pod["metadata"]
    del meta["generateName"]
    meta["name"] = f"{objects.name(view.statefulset)}-{ordinal}"
    meta["labels"][history.HASH_LABEL] = objects.name(revision)
    pod["spec"]["hostname"] = meta["name"]
    if service := view.spec.get("serviceName"):
        pod["spec"]["subdomain"] = service
    return _itself(view, ordinal, pod)


def _itself(view: View, ordinal: int, pod: Object) -> dict[str, Any]:
    """Give a Pod the labels and volumes that are its own."""
    changed: dict[str, Any] = objects.copy(dict(pod))
    labels = changed["metadata"].setdefault("labels", {})
    labels |= {NAME_LABEL: objects.name(pod), INDEX_LABEL: str(ordinal)}
    own = list(changed["spec"].get("volumes") or ())
    if statefulset_claims.templates(view.statefulset):
        changed["spec"]["volumes"] = statefulset_claims.volumes(view.statefulset, ordinal, own)
    return changed


def _is_itself(view: View, ordinal: int, pod: Object) -> bool:
    named = objects.labels(pod).get(NAME_LABEL) == objects.name(pod)
    return named and statefulset_claims.has_volumes(view.statefulset, ordinal, pod)


def _claim_names(view: View, ordinal: int) -> list[str]:
    found = statefulset_claims.templates(view.statefulset)
    return [statefulset_claims.name_of(view.statefulset, template, ordinal) for template in found]


def _add_claims(view: View, ordinal: int, todo: Plan) -> None:
    made_claims = statefulset_claims.made(view.statefulset, ordinal)
    todo.claims += [claim for claim in made_claims if objects.name(claim) not in view.claims]


def _set_owners(view: View, pod: Object, todo: Plan, *, is_condemned: bool) -> None:
    for name in _claim_names(view, ordinal_of(pod)):
        claim = view.claims.get(name)
        if claim is None:
            continue
        wanted = statefulset_claims.owners(claim, view.statefulset, pod, is_condemned=is_condemned)
        if wanted is not None:
            meta = {**objects.metadata(claim), "ownerReferences": wanted}
            todo.owners.append({**claim, "metadata": meta})


def status(view: View, todo: Plan, collisions: int) -> dict[str, Any]:
    """Count the Pods by state and revision."""
    ready = [pod for pod in view.owned if pods.phase(pod) == "Running" and pods.is_ready(pod)]
    min_ready_s = int(view.spec.get("minReadySeconds") or 0)
    living = [pod for pod in view.owned if not objects.is_deleting(pod)]
    by_revision = [objects.labels(pod).get(history.HASH_LABEL) for pod in living]
    current, update = objects.name(view.current), objects.name(view.update)
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": by_revision.count(current) - todo.outdated,
        "updatedReplicas": by_revision.count(update),
    }
    total = len(view.owned)
    if view.is_rolling and counts["updatedReplicas"] == len(ready) == total == view.replicas:
        counts["currentReplicas"], current = counts["updatedReplicas"], update
    found = {
        **objects.status(view.statefulset),
        "replicas": total,
        "availableReplicas": sum(pods.is_available(pod, min_ready_s, view.now) for pod in ready),
        "observedGeneration": objects.generation(view.statefulset),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }
    for field, count in counts.items():
        found.pop(field, None)
        if count > 0:
            found[field] = count
    return found


def next_available_s(view: View) -> float | None:
    """Give the seconds until the next ready Pod becomes available; None when none will by waiting."""
    min_ready_s = int(view.spec.get("minReadySeconds") or 0)
    waits = [pods.available_in(pod, min_ready_s, view.now) for pod in view.owned]
    return min((wait for wait in waits if wait), default=None)
