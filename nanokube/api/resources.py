"""All built-in resources, and how to find one. Pure.

Routing, discovery, OpenAPI, RBAC names and table printing read this table. Adding a built-in kind is a row in
a file of `builtin/`, plus files in `defaults/`, `validation/`, `strategy/` and `table/` where the kind has
rules of its own.
Source: api/discovery/*.json of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from nanokube.api.builtin import access, core, extension, network, storage, workloads
from nanokube.api.resource import Resource as Resource
from nanokube.api.resource import Subresource as Subresource

# in the order in which discovery lists groups
ALL: Final[tuple[Resource, ...]] = (
    *core.ROWS,
    *workloads.APPS,
    *core.EVENTS,
    *access.REVIEWS,
    *workloads.ROWS,
    *access.CERTIFICATES,
    *network.ROWS,
    *workloads.POLICY,
    *access.ROWS,
    *storage.ROWS,
    *extension.ROWS,
)

ANSWERED_DELETED: Final = frozenset(
    (
        "namespaces",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "volumeattributesclasses.storage.k8s.io",
        "deviceclasses.resource.k8s.io",
        "resourceclaims.resource.k8s.io",
        "resourceclaimtemplates.resource.k8s.io",
        "resourceslices.resource.k8s.io",
    )
)
"""Storage names of what a deletion answers, rather than a Status (ReturnDeletedObject)."""

# of several versions the first, which is the preferred and the stored one
_BY_NAME: Final[Mapping[str, Resource]] = {r.name: r for r in reversed(ALL)}
_BY_PATH: Final[Mapping[tuple[str, str, str], Resource]] = {(r.group, r.version, r.plural): r for r in ALL}
_BY_KIND: Final[Mapping[tuple[str, str], Resource]] = {(r.api_version, r.kind): r for r in ALL}


def get(name: str) -> Resource:
    """Return a built-in resource by group-resource ("pods", "deployments.apps"). Raises KeyError."""
    return _BY_NAME[name]


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the built-in resource of a URL path, if there is one."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Return the built-in resource whose objects have that apiVersion and kind, if there is one."""
    return _BY_KIND.get((api_version, kind))


def versions_of(resource: Resource) -> Iterable[Resource]:
    """Yield every built-in resource that shows the same stored objects, itself included."""
    return (r for r in ALL if r.storage_name == resource.storage_name)
