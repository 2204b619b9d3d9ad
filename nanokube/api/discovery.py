"""Discovery documents made from resources: aggregated (apidiscovery.k8s.io/v2) and the older per-version
lists. Pure.

Source: staging/src/k8s.io/apiserver/pkg/endpoints/discovery, api/discovery/*.json.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from nanokube.api.resources import ALL, Resource, Subresource, get

AGGREGATED_V2: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# order in which kubectl searches a short name: core first, then as the peer lists its groups
_ORDER: Final = (
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)


def group_versions(resources: Iterable[Resource] = ALL) -> dict[str, list[str]]:
    """Return the versions of each group, the preferred first, groups in the order of discovery."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        versions = found.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
    rank = {group: n for n, group in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(_ORDER)), item[0])))


def aggregated(resources: Sequence[Resource] = ALL, *, core: bool) -> dict[str, Any]:
    """Build the APIGroupDiscoveryList of /api (`core`) or /apis."""
    items = []
    for group, versions in group_versions(resources).items():
        if (group == "") is not core:
            continue
        metadata: dict[str, Any] = {"name": group} if group else {}
        metadata["creationTimestamp"] = None
        items.append(
            {
                "metadata": metadata,
                "versions": [_aggregated_version(resources, group, version) for version in versions],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_version(resources: Sequence[Resource], group: str, version: str) -> dict[str, Any]:
    found = _of_version(resources, group, version)
    return {
        "version": version,
        "resources": [_aggregated_resource(r) for r in found],
        "freshness": "Current",
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind_of(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = [_aggregated_subresource(s) for s in resource.subresources]
    return found


def _kind_of(resource: Resource) -> dict[str, str]:
    """Name the kind; of built-in ones, group and version are empty, meaning those of the path."""
    if resource.custom is None:
        return {"group": "", "version": "", "kind": resource.kind}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _aggregated_subresource(sub: Subresource) -> dict[str, Any]:
    return {
        "subresource": sub.name,
        "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
        "verbs": list(sub.verbs),
    }


def api_versions(address: str) -> dict[str, Any]:
    """Build the APIVersions of /api; `address` is host and port as the client reaches the server."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def api_group_list(resources: Sequence[Resource] = ALL) -> dict[str, Any]:
    """Build the APIGroupList of /apis."""
    groups = [_group(g, v) for g, v in group_versions(resources).items() if g]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(group: str, resources: Sequence[Resource] = ALL) -> dict[str, Any] | None:
    """Build the APIGroup of /apis/<group>, or None if there is no such group."""
    versions = group_versions(resources).get(group) if group else None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)} if versions else None


def _group(group: str, versions: Sequence[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def api_resource_list(group: str, version: str, resources: Sequence[Resource] = ALL) -> dict[str, Any] | None:
    """Build the APIResourceList of a group-version, or None if it does not exist."""
    found = _of_version(resources, group, version)
    if not found:
        return None
    listed = [entry for resource in found for entry in _legacy_entries(resource)]
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),  # upstream's legacy group says none
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


def _legacy_entries(resource: Resource) -> Iterator[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.is_stored:
        digest = hashlib.sha256(_storage_name(resource).encode()).digest()
        entry["storageVersionHash"] = base64.b64encode(digest[:8]).decode()
    yield entry
    for sub in resource.subresources:
        below: dict[str, Any] = {
            "name": f"{resource.plural}/{sub.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": sub.kind,
            "verbs": list(sub.verbs),
        }
        if sub.version:
            below |= {"group": sub.group, "version": sub.version}
        yield below


def _storage_name(resource: Resource) -> str:
    if resource.custom is None:
        stored = get(resource.storage_name)
        return f"{stored.group}/{stored.version}/{stored.kind}"
    return f"{resource.group}/{resource.custom.stored_version}/{resource.kind}"


def _of_version(resources: Sequence[Resource], group: str, version: str) -> list[Resource]:
    found = [r for r in resources if r.group == group and r.version == version]
    return sorted(found, key=lambda r: r.plural)
