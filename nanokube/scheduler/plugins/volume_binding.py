"""VolumeBinding: a Pod goes where its volumes are, or can be got. Pure.

Claims of a class that waits for its first consumer get their volumes with the node: one that is there and
can be reached from it, the smallest that fits; else one that the class's provisioner makes for it.
Source: pkg/scheduler/framework/plugins/volumebinding/{volume_binding,binder}.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import objects, placement, volume_binding
from nanokube.api.objects import Object
from nanokube.scheduler.framework import Change, Check, Filter, Refused, never
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo
from nanokube.scheduler.storage import Plan, Storage

UNREACHABLE = "node(s) didn't match PersistentVolume's node affinity"
NOTHING_TO_BIND = "node(s) didn't find available persistent volumes to bind"
NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
RETRY_ON = Change.NODE | Change.STORAGE | Change.POD_CHANGED


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A Pod's claims: those that are bound, and those that wait for the Pod's node.

    candidates: of each of the latter, the volumes it may take, the best first; None: one is to be made.
    """

    bound: tuple[Object, ...]
    late: tuple[tuple[dict[str, Any], Sequence[dict[str, Any]] | None], ...]


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes from which a volume of the Pod cannot be reached, or where none can be got."""
    wanted = wanted_of(pod, cluster.storage)
    if wanted is None:
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        found = plan_on(wanted, node, cluster.storage)
        return found if not isinstance(found, Plan) else ()

    return check


def plan(pod: PodInfo, node: NodeInfo, storage: Storage) -> Plan | None:
    """Give what is to happen to the claims of a Pod that goes to a node; None if they are as they should."""
    wanted = wanted_of(pod, storage)
    found = plan_on(wanted, node, storage) if wanted is not None else None
    return found if isinstance(found, Plan) and (found.bind or found.provision) else None


def wanted_of(pod: PodInfo, storage: Storage) -> Wanted | None:
    """Look at the Pod's claims; None if it has none. Raises Refused where no node can help."""
    claims = [
        _claim(pod, name, storage, is_ephemeral) for name, is_ephemeral in volume_binding.claims_of(pod.obj)
    ]
    if not claims:
        return None
    unbound = [claim for claim in claims if not volume_binding.is_bound(claim)]
    if any(objects.spec(claim).get("volumeName") or not _is_late(claim, storage) for claim in unbound):
        raise Refused(UNBOUND, RETRY_ON)
    late = [(claim, _candidates(claim, storage)) for claim in sorted(unbound, key=volume_binding.requested)]
    return Wanted(tuple(claim for claim in claims if volume_binding.is_bound(claim)), tuple(late))


def plan_on(wanted: Wanted, node: NodeInfo, storage: Storage) -> Plan | Sequence[str]:
    """Plan for one node, or say why it will not do."""
    reasons = _check_bound(wanted.bound, node, storage)
    bind, provision = [], []
    taken: set[str] = set()
    for claim, candidates in wanted.late:
        found = next(
            (
                volume
                for volume in candidates or ()
                if objects.name(volume) not in taken and volume_binding.is_reachable(volume, node.labels)
            ),
            None,
        )
        if found is not None:
            taken.add(objects.name(found))
            bind.append((claim, found))
        elif _can_be_made(claim, node, storage):
            provision.append(claim)
        else:
            return [*reasons, NOTHING_TO_BIND]
    return reasons or Plan(node.name, tuple(bind), tuple(provision))


def _claim(pod: PodInfo, name: str, storage: Storage, is_ephemeral: bool) -> dict[str, Any]:
    found = storage.claims.get(objects.join_key(pod.namespace, name))
    if found is None and is_ephemeral:
        cause = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        raise Refused(cause, RETRY_ON)
    if found is None:
        raise Refused(f'persistentvolumeclaim "{name}" not found', RETRY_ON)
    if objects.status(found).get("phase") == "Lost":
        volume = objects.spec(found).get("volumeName", "")
        cause = f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        raise Refused(cause, RETRY_ON)
    if objects.is_deleting(found):
        raise Refused(f'persistentvolumeclaim "{name}" is being deleted', RETRY_ON)
    if is_ephemeral and not objects.is_controlled_by(found, pod.obj):
        cause = f"PVC {pod.namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
        raise Refused(cause, RETRY_ON)
    return found


def _is_late(claim: Object, storage: Storage) -> bool:
    found = storage.classes.get(volume_binding.class_of(claim))
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _candidates(claim: Object, storage: Storage) -> Sequence[dict[str, Any]] | None:
    if _chosen_node(claim, storage):
        return None
    volumes = storage.volumes.list()
    if name := storage.planned_volume(claim):
        return [volume for volume in volumes if objects.name(volume) == name]
    found = volume_binding.candidates(claim, volumes)
    return [volume for volume in found if not storage.planned_claim(volume)]


def _chosen_node(claim: Object, storage: Storage) -> str:
    chosen = objects.annotations(claim).get(volume_binding.SELECTED_NODE)
    return chosen or storage.planned_node(claim)


def _check_bound(claims: Sequence[Object], node: NodeInfo, storage: Storage) -> list[str]:
    for claim in claims:
        volume = storage.volumes.get(objects.spec(claim)["volumeName"])
        if volume is None:
            return [NO_VOLUME]
        if not volume_binding.is_reachable(volume, node.labels):
            return [UNREACHABLE]
    return []


def _can_be_made(claim: Object, node: NodeInfo, storage: Storage) -> bool:
    """Tell whether a provisioner makes volumes of the claim's class for a node."""
    if _chosen_node(claim, storage) not in ("", node.name):
        return False
    found = storage.classes.get(volume_binding.class_of(claim)) or {}
    if found.get("provisioner") in (None, "", volume_binding.NO_PROVISIONER) or storage.planned_volume(claim):
        return False
    terms = found.get("allowedTopologies") or ()
    return not terms or any(_admits(term, node.labels) for term in terms)


def _admits(term: Object, labels: Mapping[str, str]) -> bool:
    expressions = [{**each, "operator": "In"} for each in term.get("matchLabelExpressions") or ()]
    return placement.term_matches({"matchExpressions": expressions}, "", labels)


FILTER = Filter("VolumeBinding", prepare, RETRY_ON, never)
