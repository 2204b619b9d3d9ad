"""Where a DaemonSet's Pods belong, and what they look like. Pure.

Source: pkg/controller/daemon/{daemon_controller.go,util/daemonset_util.go}.
"""

import collections
from collections.abc import Iterable
from typing import Any

from nanokube.api import objects, placement
from nanokube.api.objects import Object
from nanokube.controllers import history, pods, shares

GENERATION_LABEL = "pod-template-generation"
GENERATION = "deprecated.daemonset.template.generation"
TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
TOLERATED_ON_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def tolerations(pod_spec: Object) -> list[Object]:
    """Give the template's tolerations with those every daemon has."""
    wanted = list(TOLERATED)
    if pod_spec.get("hostNetwork"):
        wanted.append(TOLERATED_ON_HOST_NETWORK)
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in wanted]
    own = [found for found in pod_spec.get("tolerations") or () if found not in added]
    return [*own, *added]


def placement_on(daemonset: Object, node: Object) -> tuple[bool, bool]:
    """Tell whether a Pod shall start on a node, and whether one there may go on."""
    spec = objects.spec(daemonset)["template"]["spec"]
    if spec.get("nodeName") not in (None, "", objects.name(node)):
        return False, False
    if not placement.selects(spec, objects.name(node), objects.labels(node)):
        return False, False
    taints, accepted = objects.spec(node).get("taints") or (), tolerations(spec)
    if placement.untolerated(taints, accepted) is None:
        return True, True
    return False, placement.untolerated(taints, accepted, ("NoExecute",)) is None


def made(daemonset: Object, node: str, hashed: str) -> dict[str, Any]:
    """Build the Pod for a node. The scheduler binds it: the node stands in its affinity."""
    pod = pods.from_template(objects.spec(daemonset)["template"], daemonset)
    pod["metadata"]["labels"][history.HASH_LABEL] = hashed
    if generation := objects.annotations(daemonset).get(GENERATION):
        pod["metadata"]["labels"][GENERATION_LABEL] = generation
    spec = pod["spec"]
    spec["tolerations"] = tolerations(spec)
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {})
    affinity.setdefault("nodeAffinity", {})[REQUIRED] = {"nodeSelectorTerms": [term]}
    return pod


def node_of(pod: Object) -> str:
    """Give the node a Pod is on or made for; "" if it tells none."""
    spec = objects.spec(pod)
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            values = list(field.get("values") or ())
            if field.get("key") == "metadata.name" and field.get("operator") == "In" and len(values) == 1:
                return str(values[0])
    return ""


def by_node(owned: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sort Pods by node, on each the one to keep first: bound before unbound, old before new."""
    found: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for pod in sorted(owned, key=_keeping_rank):
        found[node_of(pod)].append(pod)
    return dict(found)


def is_updated(daemonset: Object, pod: Object, hashed: str) -> bool:
    """Tell whether a Pod was made from the present template."""
    generation = objects.annotations(daemonset).get(GENERATION)
    labels = objects.labels(pod)
    return labels.get(history.HASH_LABEL) == hashed or (
        generation is not None and labels.get(GENERATION_LABEL) == generation
    )


def bounds(daemonset: Object, wanted: int) -> tuple[int, int]:
    """Give (maxSurge, maxUnavailable) in Pods, both rounded up; (0, 0) unless rolling."""
    strategy = objects.spec(daemonset).get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = shares.resolve(rolling.get("maxSurge") or 0, wanted, up=True)
    most = rolling.get("maxUnavailable")
    return surge, shares.resolve(1 if most is None else most, wanted, up=True)


def _keeping_rank(pod: Object) -> tuple[bool, str, str]:
    return (
        not objects.spec(pod).get("nodeName"),
        objects.creation_timestamp(pod),
        objects.name(pod),
    )
