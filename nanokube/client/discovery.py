"""Ask a server which resources it serves: built in, custom and aggregated ones alike.

Source: KEP-3352 (aggregated discovery), api/apidiscovery/v2 types; legacy APIResourceList as the fallback.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import orjson

from nanokube.api import errors, resources
from nanokube.client.interface import ApiClient

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def resources_of(client: ApiClient) -> list[resources.Resource]:
    """List every resource in its group's preferred version, in the server's order.

    Groups whose backend does not answer are left out. Raises ApiError, OSError when the root cannot be read.
    """
    return (await survey(client))[0]


async def survey(client: ApiClient) -> tuple[list[resources.Resource], list[str]]:
    """List every resource as resources_of does, and the group-versions whose backend does not answer.

    Raises ApiError, OSError when the root cannot be read.
    """
    found: list[resources.Resource] = []
    silent: list[str] = []
    for root in ("/api", "/apis"):
        document = await _json(client, root)
        if document.get("kind") == "APIGroupDiscoveryList":
            found.extend(aggregated(document))
            silent.extend(stale(document))
        else:
            found.extend(await _legacy(client, root, document))
    return found, silent


def stale(document: dict[str, Any]) -> list[str]:
    """List the group-versions of an APIGroupDiscoveryList whose server does not answer."""
    return [
        f"{group.get('metadata', {}).get('name', '')}/{version['version']}"
        for group in document.get("items") or ()
        for version in group.get("versions") or ()
        if version.get("freshness", "Current") != "Current"
    ]


def aggregated(document: dict[str, Any]) -> list[resources.Resource]:
    """Read an APIGroupDiscoveryList: per group, each resource at the first version that serves it."""
    found: dict[tuple[str, str], resources.Resource] = {}
    for group in document.get("items") or ():
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness", "Current") != "Current":
                continue  # Stale: the aggregated server does not answer
            for entry in version.get("resources") or ():
                found.setdefault((name, entry["resource"]), _from_aggregated(name, version["version"], entry))
    return list(found.values())


def _from_aggregated(group: str, version: str, entry: dict[str, Any]) -> resources.Resource:
    subresources = tuple(
        resources.Subresource(
            sub["subresource"], sub.get("responseKind", {}).get("kind", ""), tuple(sub["verbs"])
        )
        for sub in entry.get("subresources") or ()
    )
    return resources.Resource(
        group,
        version,
        entry.get("responseKind", {}).get("kind", ""),
        entry["resource"],
        entry.get("singularResource", ""),
        entry.get("scope") == "Namespaced",
        tuple(entry.get("shortNames") or ()),
        tuple(entry.get("categories") or ()),
        verbs=tuple(entry.get("verbs") or ()),
        subresources=subresources,
    )


async def _legacy(client: ApiClient, root: str, document: dict[str, Any]) -> list[resources.Resource]:
    found: dict[tuple[str, str], resources.Resource] = {}
    for group, version in _group_versions(root, document):
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        with contextlib.suppress(errors.ApiError):
            for resource in _from_legacy(group, version, await _json(client, path)):
                found.setdefault((group, resource.plural), resource)
    return list(found.values())


def _group_versions(root: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if root == "/api":
        yield from (("", version) for version in document.get("versions") or ())
        return
    for group in document.get("groups") or ():
        yield from ((group["name"], version["version"]) for version in group.get("versions") or ())


def _from_legacy(group: str, version: str, document: dict[str, Any]) -> Iterator[resources.Resource]:
    for entry in document.get("resources") or ():
        if "/" not in entry["name"]:
            yield resources.Resource(
                entry.get("group") or group,
                entry.get("version") or version,
                entry["kind"],
                entry["name"],
                entry.get("singularName", ""),
                bool(entry.get("namespaced")),
                tuple(entry.get("shortNames") or ()),
                tuple(entry.get("categories") or ()),
                verbs=tuple(entry.get("verbs") or ()),
            )


async def _json(client: ApiClient, path: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(await client.raw("GET", path, headers={"Accept": AGGREGATED}))
    return document
