"""Who owns whom, over every object of every resource. Pure: one task writes.

An owner that was never seen is not in the graph; whether it exists is the server's to say.
Source: pkg/controller/garbagecollector/{graph,graph_builder}.go.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from nanokube.api import objects, resources
from nanokube.api.objects import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclasses.dataclass(slots=True, eq=False)
class Node:
    """One object, as far as garbage collection cares."""

    resource: resources.Resource
    namespace: str
    name: str
    uid: str
    owners: list[dict[str, Any]]
    is_deleting: bool
    finalizers: list[str]

    @property
    def deletes_dependents(self) -> bool:
        """Whether it waits, in foreground deletion, until its blocking dependents are gone."""
        return self.is_deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        """Whether its dependents must be released before it goes."""
        return self.is_deleting and ORPHAN in self.finalizers

    def blocks(self, owner_uid: str) -> bool:
        """Tell whether this dependent holds its owner's foreground deletion back."""
        return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in self.owners)


class Graph:
    """Nodes by UID, and the UIDs that name each as their owner."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def dependents(self, uid: str) -> list[Node]:
        """Give the objects that name uid as an owner."""
        return [self.nodes[found] for found in self._dependents.get(uid, ())]

    def put(self, resource: resources.Resource, obj: Object) -> list[str]:
        """Take an object's state in; give the UIDs worth looking at now."""
        node = _node(resource, obj)
        old = self.nodes.get(node.uid)
        self.nodes[node.uid] = node
        self._link(node.uid, old.owners if old is not None else (), node.owners)
        changed = old is None or old.owners != node.owners
        due = []
        if node.deletes_dependents or node.orphans_dependents or (changed and not self.is_kept(node)):
            due.append(node.uid)
        if node.deletes_dependents and not (old is not None and old.deletes_dependents):
            due += self._dependents.get(node.uid, ())
        for owner in {ref["uid"] for found in (old, node) if found is not None for ref in found.owners}:
            # It may have stopped to block its owner.
            if owner in self.nodes and self.nodes[owner].deletes_dependents:
                due.append(owner)
        return due

    def is_kept(self, node: Node) -> bool:
        """Tell whether every owner is there as named, none waiting: then there is nothing to ask."""
        return all(self._keeps(ref, node) for ref in node.owners)

    def _keeps(self, reference: Object, dependent: Node) -> bool:
        owner = self.nodes.get(reference["uid"])
        return (
            owner is not None
            and not owner.deletes_dependents
            and (owner.name, owner.resource.kind) == (reference["name"], reference["kind"])
            and owner.namespace in ("", dependent.namespace)
        )

    def remove(self, uid: str) -> list[str]:
        """Take an object out; give the UIDs to look at: its dependents, and owners that waited."""
        node = self.nodes.pop(uid, None)
        if node is None:
            return []
        self._link(uid, node.owners, ())
        waiting = [
            ref["uid"]
            for ref in node.owners
            if ref["uid"] in self.nodes and self.nodes[ref["uid"]].deletes_dependents
        ]
        return [*self._dependents.get(uid, ()), *waiting]

    def forget(self, resource: resources.Resource) -> None:
        """Drop every object of a resource the server no longer has."""
        gone = [node.uid for node in self.nodes.values() if node.resource == resource]
        for uid in gone:
            self.remove(uid)

    def _link(self, uid: str, old: Iterable[Object], new: Iterable[Object]) -> None:
        before, after = {ref["uid"] for ref in old}, {ref["uid"] for ref in new}
        for owner in before - after:
            self._dependents[owner].discard(uid)
            if not self._dependents[owner]:
                del self._dependents[owner]
        for owner in after - before:
            self._dependents.setdefault(owner, set()).add(uid)


def stripped(obj: dict[str, Any]) -> dict[str, Any]:
    """Keep of an object what the graph needs: what it holds is nobody's business here."""
    meta = obj["metadata"]
    fields = (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "deletionTimestamp",
        "finalizers",
        "ownerReferences",
    )
    return {"metadata": {field: meta[field] for field in fields if field in meta}}


def _node(resource: resources.Resource, obj: Object) -> Node:
    return Node(
        resource,
        objects.namespace(obj),
        objects.name(obj),
        objects.uid(obj),
        [dict(ref) for ref in objects.owner_references(obj)],
        objects.is_deleting(obj),
        objects.finalizers(obj),
    )
