"""The scheduler's picture of the cluster: nodes, and the Pods on them, assumed ones included.

A Pod is assumed on its node from the decision on, before the server has heard of it, so that the next
decision counts it. The informer confirms it, or forget() takes it back.
"""

from typing import Any

from nanokube.api import objects
from nanokube.scheduler import storage
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo, pod_info


class Cache:
    """Nodes by name; where each counted Pod is, by UID."""

    def __init__(self, volumes: storage.Storage | None = None) -> None:
        self.storage = volumes or storage.Storage()
        self._nodes: dict[str, NodeInfo] = {}
        self._strays: dict[str, dict[str, PodInfo]] = {}  # Pods on nodes not (or no longer) known
        self._where: dict[str, str] = {}
        self._assumed: set[str] = set()
        self._anti_affine: set[str] = set()
        self.namespaces: dict[str, dict[str, str]] = {}
        self.services: dict[str, dict[str, dict[str, str]]] = {}  # selectors by namespace and name

    def cluster(self) -> Cluster:
        """Give what a decision looks at. It is live: use it before the next await."""
        return Cluster(
            list(self._nodes.values()),
            self.namespaces,
            bool(self._anti_affine),
            self.services,
            self.storage,
        )

    def node(self, name: str) -> NodeInfo | None:
        """Look up a node."""
        return self._nodes.get(name)

    def put_node(self, node: dict[str, Any]) -> None:
        """Add or update a node."""
        name = objects.name(node)
        known = self._nodes.get(name)
        if known is not None:
            known.set_node(node)
            return
        self._nodes[name] = NodeInfo(node)
        for pod in self._strays.pop(name, {}).values():
            self._nodes[name].add(pod)

    def remove_node(self, name: str) -> None:
        """Drop a node; its Pods stay known until their own deletion."""
        gone = self._nodes.pop(name, None)
        if gone is not None and gone.pods:
            self._strays[name] = gone.pods

    def put_pod(self, pod: dict[str, Any]) -> None:
        """Count an assigned Pod, or count it anew; confirms an assumed one."""
        self._remove(objects.uid(pod))
        self._add(pod_info(pod), objects.spec(pod)["nodeName"])

    def remove_pod(self, uid: str) -> None:
        """Count a Pod out."""
        self._remove(uid)

    def assume(self, pod: PodInfo, node: str) -> None:
        """Count a Pod on the node chosen for it."""
        self._add(pod, node)
        self._assumed.add(pod.uid)

    def forget(self, uid: str) -> None:
        """Take an assumption back; does nothing once the Pod is confirmed."""
        if uid in self._assumed:
            self._remove(uid)

    def is_assumed(self, uid: str) -> bool:
        """Tell whether a Pod is counted but not confirmed."""
        return uid in self._assumed

    def _add(self, pod: PodInfo, node: str) -> None:
        self._where[pod.uid] = node
        if pod.has_anti_affinity:
            self._anti_affine.add(pod.uid)
        known = self._nodes.get(node)
        if known is not None:
            known.add(pod)
        else:
            self._strays.setdefault(node, {})[pod.uid] = pod

    def _remove(self, uid: str) -> None:
        self._assumed.discard(uid)
        self._anti_affine.discard(uid)
        node = self._where.pop(uid, None)
        if node is None:
            return
        if (known := self._nodes.get(node)) is not None:
            known.remove(uid)
        elif (strays := self._strays.get(node)) is not None:
            strays.pop(uid, None)
            if not strays:
                del self._strays[node]
