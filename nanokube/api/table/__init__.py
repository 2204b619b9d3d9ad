"""Server-side tables (meta.k8s.io/v1 Table) and PartialObjectMetadata: what `kubectl get` prints. Pure.

The façade of this package: columns are in one file a family; adding a kind is a row in the table below.
Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.table import cluster, config, event, pod, service, workloads
from nanokube.api.table.columns import DEFAULT, Columns

_BY_NAME: Final[Mapping[str, Columns]] = {
    "pods": pod.COLUMNS,
    "services": service.SERVICE,
    "endpoints": service.ENDPOINTS,
    "endpointslices.discovery.k8s.io": service.ENDPOINT_SLICE,
    "nodes": cluster.NODE,
    "namespaces": cluster.NAMESPACE,
    "configmaps": config.CONFIG_MAP,
    "secrets": config.SECRET,
    "serviceaccounts": config.SERVICE_ACCOUNT,
    "leases.coordination.k8s.io": config.LEASE,
    "events": event.COLUMNS,
    "events.events.k8s.io": event.COLUMNS,
    "deployments.apps": workloads.DEPLOYMENT,
    "replicasets.apps": workloads.REPLICA_SET,
}

METADATA_ONLY: Final = "Metadata"
WHOLE_OBJECT: Final = "Object"
NO_OBJECT: Final = "None"


def to_table(
    resource: Resource,
    items: Iterable[Object],
    *,
    now: float,
    list_metadata: Object | None = None,
    include_object: str = METADATA_ONLY,
    with_columns: bool = True,
) -> dict[str, Any]:
    """Build the Table of some objects; `now` is in seconds since the epoch.

    `with_columns=False` is for the second and later events of a watch, which leave the definitions out.
    """
    columns = _BY_NAME.get(resource.name, DEFAULT)
    rows = []
    for item in items:
        row: dict[str, Any] = {"cells": columns.cells(item, now)}
        conditions = columns.row_conditions(item)
        if conditions:
            row["conditions"] = conditions
        if include_object == METADATA_ONLY:
            row["object"] = partial_metadata(item)
        elif include_object == WHOLE_OBJECT:
            row["object"] = item
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata or {}),
        "columnDefinitions": [c.to_json() for c in columns.definitions] if with_columns else [],
        "rows": rows,
    }


def partial_metadata(obj: Object) -> dict[str, Any]:
    """Build the PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(objects.metadata(obj)),
    }


def partial_metadata_list(items: Iterable[Object], list_metadata: Object) -> dict[str, Any]:
    """Build the PartialObjectMetadataList of some objects."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata),
        "items": [partial_metadata(i) for i in items],
    }
