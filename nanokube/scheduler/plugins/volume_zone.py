"""VolumeZone: a volume labelled with a zone or region is used from there. Pure.

Source: pkg/scheduler/framework/plugins/volumezone/volume_zone.go.
"""

from collections.abc import Iterator

from nanokube.api import objects, volume_binding
from nanokube.scheduler.framework import Change, Check, Filter, never
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) had no available volume zone",)
_NEWER = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_LABELS = (*_NEWER, *_NEWER.values())
_SEPARATOR = "__"  # between the zones of a volume in several


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes of another zone or region than a bound volume's; those that say neither are anywhere."""
    places = list(_places(pod, cluster))

    def check(node: NodeInfo) -> tuple[str, ...]:
        if not any(label in node.labels for label in _LABELS):
            return ()
        for label, values in places:
            own = node.labels.get(label, node.labels.get(_NEWER.get(label, label)))
            if own not in values:
                return REASON
        return ()

    return check if places else None


def _places(pod: PodInfo, cluster: Cluster) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the labels of the Pod's volumes that say where they are, with the values that will do."""
    for name, _ in volume_binding.claims_of(pod.obj):
        claim = cluster.storage.claims.get(objects.join_key(pod.namespace, name)) or {}
        volume = cluster.storage.volumes.get(objects.spec(claim).get("volumeName") or "") or {}
        labels = objects.labels(volume) if volume else {}
        for label in _LABELS:
            if label in labels:
                yield label, frozenset(labels[label].split(_SEPARATOR))


FILTER = Filter("VolumeZone", prepare, Change.NODE | Change.STORAGE, never)
