"""Lays what extension servers serve over the discovery documents of this one. Pure.

Source: staging kube-aggregator pkg/apiserver/{handler_apis,handler_discovery}.go,
pkg/apis/apiregistration/v1/helper/helpers.go, staging apiserver pkg/endpoints/discovery/aggregated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nanokube.api.custom import versions as custom_versions
from nanokube.apiserver.aggregator.table import Remote

Object = Mapping[str, Any]

ACCEPT: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
# (group, version) -> the entry of a version in an aggregated document
Versions = Mapping[tuple[str, str], Object]
# name of an APIService -> group, version, groupPriorityMinimum, versionPriority
Priorities = Mapping[str, tuple[str, str, int, int]]


def of_aggregated(document: Object) -> Versions:
    """Take an APIGroupDiscoveryList apart. Raises TypeError, KeyError, AttributeError for what is none."""
    return {
        (group["metadata"]["name"], version["version"]): _completed(version)
        for group in document["items"]
        for version in group.get("versions") or ()
    }


def _completed(version: Object) -> Object:
    """Give every resource a responseKind: clients of v0.26 dereference it."""
    found = [
        {"responseKind": {"group": "", "version": "", "kind": ""}, **r} for r in _list(version, "resources")
    ]
    return {**version, "resources": found}


def of_legacy(group: str, version: str, document: Object) -> Object:
    """Make a version's entry of an APIResourceList. Raises TypeError, KeyError, AttributeError."""
    found: dict[str, dict[str, Any]] = {}
    below: list[Object] = []
    for entry in _list(document, "resources"):
        if "/" in entry["name"]:
            below.append(entry)
            continue
        resource: dict[str, Any] = {
            "resource": entry["name"],
            "responseKind": _kind(entry, group, version),
            "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
            "singularResource": entry.get("singularName") or "",
            "verbs": list(entry.get("verbs") or ()),
        }
        for key in ("shortNames", "categories"):
            if entry.get(key):
                resource[key] = list(entry[key])
        found[entry["name"]] = resource
    for entry in below:
        name, _, sub = entry["name"].partition("/")
        parent = found.get(name)
        if parent is None:  # a subresource alone, such as pods/eviction of others
            parent = found[name] = {
                "resource": name,
                "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
            }
        one = {
            "subresource": sub,
            "responseKind": _kind(entry, group, version),
            "verbs": list(entry.get("verbs") or ()),
        }
        parent.setdefault("subresources", []).append(one)
    return {"version": version, "resources": list(found.values())}


def _kind(entry: Object, group: str, version: str) -> Object:
    return {
        "group": entry.get("group") or group,
        "version": entry.get("version") or version,
        "kind": entry["kind"],
    }


def _list(tree: Object, key: str) -> Sequence[Any]:
    found: Sequence[Any] = tree.get(key) or ()
    return found


def merge_aggregated(document: Object, entries: Versions, priorities: Priorities) -> dict[str, Any]:
    """Add versions to an APIGroupDiscoveryList of /apis, in the order that the APIServices ask for."""
    groups: dict[str, dict[str, Object]] = {
        item["metadata"]["name"]: {v["version"]: v for v in item["versions"]} for item in document["items"]
    }
    for (group, version), entry in entries.items():
        groups.setdefault(group, {})[version] = entry
    items = {item["metadata"]["name"]: item for item in document["items"]}
    touched = {group for group, _ in entries}
    merged = []
    for group in _ordered(list(groups), touched, priorities):
        if group in touched:
            kept = items.get(group) or {"metadata": {"name": group, "creationTimestamp": None}}
            versions = [groups[group][v] for v in _versions(group, list(groups[group]), priorities)]
            merged.append({**kept, "versions": versions})
        else:
            merged.append(items[group])
    return {**document, "items": merged}


def merge_groups(document: Object, remotes: Iterable[Remote], priorities: Priorities) -> dict[str, Any]:
    """Add groups and versions to an APIGroupList."""
    known = {group["name"]: group for group in document["groups"]}
    versions = {name: [v["version"] for v in group["versions"]] for name, group in known.items()}
    touched = set()
    for remote in remotes:
        touched.add(remote.group)
        found = versions.setdefault(remote.group, [])
        if remote.version not in found:
            found.append(remote.version)
    ordered = _ordered(list(versions), touched, priorities)
    groups = [_group(g, versions[g], priorities) if g in touched else known[g] for g in ordered]
    return {**document, "groups": groups}


def merge_group(
    group: str, document: Object | None, remotes: Iterable[Remote], priorities: Priorities
) -> dict[str, Any] | None:
    """Add versions to an APIGroup, or make it. None if nobody serves the group."""
    found = [v["version"] for v in document["versions"]] if document else []
    found += [r.version for r in remotes if r.group == group and r.version not in found]
    if not found:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, found, priorities)}


def _group(group: str, versions: Sequence[str], priorities: Priorities) -> dict[str, Any]:
    ordered = _versions(group, versions, priorities)
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in ordered]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _ordered(groups: Sequence[str], touched: set[str], priorities: Priorities) -> list[str]:
    """Put touched groups where their priority belongs; what is there keeps its order.

    A group goes behind all of at least its priority, and, at the same priority, by name.
    """
    minimum: dict[str, int] = {}
    for group, _, priority, _ in priorities.values():
        minimum[group] = max(priority, minimum.get(group, 0))
    found = [group for group in groups if group not in touched]
    for group in sorted(touched, key=lambda each: (-minimum.get(each, 0), each)):
        own = minimum.get(group, 0)
        at = next(
            (
                n
                for n, other in enumerate(found)
                if minimum.get(other, 0) < own or (minimum.get(other, 0) == own and other > group)
            ),
            len(found),
        )
        found.insert(at, group)
    return found


def _versions(group: str, versions: Sequence[str], priorities: Priorities) -> list[str]:
    wanted = {version: priority for g, version, _, priority in priorities.values() if g == group}
    return sorted(versions, key=lambda each: (-wanted.get(each, 0), custom_versions.rank(each)))
