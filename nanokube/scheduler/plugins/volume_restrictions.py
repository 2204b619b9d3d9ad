"""VolumeRestrictions: a claim with access mode ReadWriteOncePod has one Pod at a time. Pure.

Source: plugins/volumerestrictions/volume_restrictions.go, but for the disks of clouds.
"""

from nanokube.api import objects, volume_binding
from nanokube.scheduler.framework import Change, Check, Filter, always
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

MODE = "ReadWriteOncePod"
REASON = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by "
    "another pod",
)


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse every node while another Pod, wherever it is, has a claim that admits one only."""
    names = {name for name, _ in volume_binding.claims_of(pod.obj) if _is_exclusive(pod, name, cluster)}
    if not names or not any(
        other.namespace == pod.namespace
        and any(name in names for name, _ in volume_binding.claims_of(other.obj))
        for node in cluster.nodes
        for other in node.pods.values()
    ):
        return None

    def check(node: NodeInfo) -> tuple[str, ...]:
        return REASON

    return check


def _is_exclusive(pod: PodInfo, name: str, cluster: Cluster) -> bool:
    claim = cluster.storage.claims.get(objects.join_key(pod.namespace, name)) or {}
    return MODE in (objects.spec(claim).get("accessModes") or ())


FILTER = Filter("VolumeRestrictions", prepare, Change.POD_GONE | Change.STORAGE, always)
