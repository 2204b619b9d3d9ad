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
from nanokube.api.table import (
    api_service,
    cluster,
    config,
    controllers,
    event,
    pod,
    policies,
    service,
    storage,
    workloads,
)
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
    "scales.autoscaling": workloads.SCALE,
    "replicasets.apps": workloads.REPLICA_SET,
    "daemonsets.apps": controllers.DAEMON_SET,
    "statefulsets.apps": controllers.STATEFUL_SET,
    "controllerrevisions.apps": controllers.CONTROLLER_REVISION,
    "replicationcontrollers": controllers.REPLICATION_CONTROLLER,
    "podtemplates": controllers.POD_TEMPLATE,
    "jobs.batch": controllers.JOB,
    "cronjobs.batch": controllers.CRON_JOB,
    "poddisruptionbudgets.policy": controllers.DISRUPTION_BUDGET,
    "horizontalpodautoscalers.autoscaling": controllers.AUTOSCALER,
    "persistentvolumes": storage.VOLUME,
    "persistentvolumeclaims": storage.CLAIM,
    "storageclasses.storage.k8s.io": storage.STORAGE_CLASS,
    "volumeattributesclasses.storage.k8s.io": storage.ATTRIBUTES_CLASS,
    "volumeattachments.storage.k8s.io": storage.ATTACHMENT,
    "csinodes.storage.k8s.io": storage.CSI_NODE,
    "csidrivers.storage.k8s.io": storage.CSI_DRIVER,
    "rolebindings.rbac.authorization.k8s.io": policies.ROLE_BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": policies.ROLE_BINDING,
    "ingresses.networking.k8s.io": policies.INGRESS,
    "ingressclasses.networking.k8s.io": policies.INGRESS_CLASS,
    "networkpolicies.networking.k8s.io": policies.NETWORK_POLICY,
    "ipaddresses.networking.k8s.io": policies.IP_ADDRESS,
    "servicecidrs.networking.k8s.io": policies.SERVICE_CIDR,
    "resourcequotas": policies.QUOTA,
    "componentstatuses": policies.COMPONENT,
    "priorityclasses.scheduling.k8s.io": policies.PRIORITY_CLASS,
    "runtimeclasses.node.k8s.io": policies.RUNTIME_CLASS,
    "certificatesigningrequests.certificates.k8s.io": policies.SIGNING_REQUEST,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": policies.WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": policies.WEBHOOKS,
    "validatingadmissionpolicies.admissionregistration.k8s.io": policies.VALIDATING_POLICY,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": policies.MUTATING_POLICY,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": policies.POLICY_BINDING,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": policies.POLICY_BINDING,
    "flowschemas.flowcontrol.apiserver.k8s.io": policies.FLOW_SCHEMA,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": policies.PRIORITY_LEVEL,
    "apiservices.apiregistration.k8s.io": api_service.COLUMNS,
    "deviceclasses.resource.k8s.io": policies.PLAIN,
    "resourceclaims.resource.k8s.io": policies.RESOURCE_CLAIM,
    "resourceclaimtemplates.resource.k8s.io": policies.PLAIN,
    "resourceslices.resource.k8s.io": policies.RESOURCE_SLICE,
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
    columns = resource.custom.columns if resource.custom else _BY_NAME.get(resource.name, DEFAULT)
    rows = []
    for item in items:
        row: dict[str, Any] = {"cells": columns.cells(item, now)}
        conditions = columns.row_conditions(item)
        if conditions:
            row["conditions"] = conditions
        row["object"] = None
        if include_object == METADATA_ONLY:
            row["object"] = partial_metadata(item)
        elif include_object == WHOLE_OBJECT:
            row["object"] = item
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata or {}),
        "columnDefinitions": [c.to_json() for c in columns.definitions] if with_columns else None,
        "rows": rows if rows or columns is not DEFAULT else None,  # as upstream's default convertor
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
        "items": [partial_metadata(i) for i in items] or None,  # null, as upstream's nil slice
    }
