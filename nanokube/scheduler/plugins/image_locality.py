"""ImageLocality: prefer nodes that have the Pod's big images already. Pure.

Source: plugins/imagelocality/image_locality.go (thresholds, too).
"""

from nanokube.scheduler.framework import MAX_SCORE, Rate, Score
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

LEAST_BYTES = 23 * 1024 * 1024
MOST_BYTES_A_CONTAINER = 1000 * 1024 * 1024


def prepare(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Rate by image bytes present, each image discounted by how few nodes have it."""
    containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
    names = [_normalized(container.get("image") or "") for container in containers]
    spread = {name: sum(name in node.images for node in cluster.nodes) / len(cluster.nodes) for name in names}
    most = MOST_BYTES_A_CONTAINER * max(1, len(containers))

    def rate(node: NodeInfo) -> float:
        present = sum(int(node.images.get(name, 0) * spread[name]) for name in names)
        present = min(max(present, LEAST_BYTES), most)
        return MAX_SCORE * (present - LEAST_BYTES) // (most - LEAST_BYTES)

    return rate if any(spread.values()) else None


def _normalized(name: str) -> str:
    """Add the tag an image reference leaves out."""
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"


SCORE = Score("ImageLocality", 1, prepare)
