"""What the server itself sets when an object is created, updated, scaled or deleted; all in place. Pure.

The façade of this package. Rules of one kind are in its file; adding a kind with rules is a row in the
table below.
The caller passes the UID and the time. Source: staging/src/k8s.io/apiserver/pkg/registry/rest,
pkg/registry/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import facts, objects, zeros
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.strategy import (
    api_service,
    certificates,
    custom,
    definition,
    deployment,
    devices,
    endpoint_slice,
    gates,
    namespace,
    node,
    pod,
    replica_set,
    service,
    volumes,
    workloads,
)
from nanokube.api.strategy.rules import Rules, StatusOnlyRules

_STATUS_ONLY: Final = StatusOnlyRules()
_RULES: Final[Mapping[str, Rules]] = {
    "pods": pod.RULES,
    "services": service.RULES,
    "namespaces": namespace.RULES,
    "nodes": node.RULES,
    "deployments.apps": deployment.RULES,
    "replicasets.apps": replica_set.RULES,
    "endpointslices.discovery.k8s.io": endpoint_slice.RULES,
    "daemonsets.apps": workloads.DAEMON_SET,
    "statefulsets.apps": workloads.STATEFUL_SET,
    "jobs.batch": workloads.JOB,
    "replicationcontrollers": workloads.REPLICATION_CONTROLLER,
    "podtemplates": workloads.POD_TEMPLATE,
    "leases.coordination.k8s.io": workloads.LEASE,
    "priorityclasses.scheduling.k8s.io": workloads.FIXED,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": workloads.WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": workloads.WEBHOOKS,
    "persistentvolumeclaims": volumes.CLAIM,
    "persistentvolumes": volumes.VOLUME,
    "serviceaccounts": workloads.SERVICE_ACCOUNT,
    "csidrivers.storage.k8s.io": volumes.DRIVER,
    "volumeattachments.storage.k8s.io": StatusOnlyRules({"attached": False}),
    "servicecidrs.networking.k8s.io": _STATUS_ONLY,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _STATUS_ONLY,
    "flowschemas.flowcontrol.apiserver.k8s.io": _STATUS_ONLY,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": _STATUS_ONLY,
    "resourceclaims.resource.k8s.io": devices.CLAIM,
    "resourceslices.resource.k8s.io": devices.SLICE,
    "certificatesigningrequests.certificates.k8s.io": certificates.SIGNING_REQUEST,
    "customresourcedefinitions.apiextensions.k8s.io": definition.RULES,
    "apiservices.apiregistration.k8s.io": api_service.RULES,
}
_PLAIN: Final = Rules()

# a name made from generateName: at most 63 bytes, the last five random
MAX_GENERATED_NAME: Final = 63
RANDOM_SUFFIX_LENGTH: Final = 5
SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def _rules_of(resource: Resource) -> Rules:
    if resource.custom is not None:
        return custom.WITH_STATUS if resource.subresource("status") else custom.PLAIN
    return _RULES.get(resource.name, _PLAIN)


def generate_name(base: str, suffix: str) -> str:
    """Join `generateName` and a random suffix of `RANDOM_SUFFIX_LENGTH` letters of `SUFFIX_ALPHABET`."""
    return base[: MAX_GENERATED_NAME - RANDOM_SUFFIX_LENGTH] + suffix


def prepare_for_create(
    resource: Resource, obj: dict[str, Any], *, namespace: str, uid: str, now: str
) -> None:
    """Set what the server owns in a new object: metadata, generation, first status. `now` is RFC 3339."""
    metadata = obj.setdefault("metadata", {})
    for key in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
    ):
        metadata.pop(key, None)
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = now
    if resource.has_generation:
        metadata["generation"] = 1
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    gates.drop(resource.name, obj)
    rules = _rules_of(resource)
    if resource.subresource("status") and rules.resets_status:
        obj["status"] = {}
    rules.on_create(obj)
    if rules.resets_status and obj.get("status") is not None:
        _fill_status(resource, obj["status"])


def _fill_status(resource: Resource, status: dict[str, Any]) -> None:
    """Write the zeros that Go writes in a new status."""
    name = facts.name_of(resource.group, resource.version, resource.kind)
    found = facts.definition(name).fields.get("status") if name is not None else None
    if found is not None and found.type.name:
        zeros.fill(found.type.name, status)
        zeros.fill_nulls(found.type.name, status)


def prepare_for_update(resource: Resource, new: dict[str, Any], old: Object) -> None:
    """Keep what an update of the main resource may not touch, and count a change of the spec."""
    rules = _rules_of(resource)
    _keep_metadata(resource, new, old)
    if resource.subresource("status"):
        _keep(new, old, "status")
    rules.on_update(new, old)
    if resource.has_generation and rules.is_new_generation(new, old):
        new["metadata"]["generation"] = objects.generation(old) + 1


def prepare_for_status_update(resource: Resource, new: dict[str, Any], old: Object) -> None:
    """Keep all but the status (and the metadata that the kind does not keep)."""
    rules = _rules_of(resource)
    _keep_metadata(resource, new, old)
    for key in {*new, *old} - {"metadata", "status", "apiVersion", "kind"}:
        _keep(new, old, key)
    for key in rules.status_keeps_metadata:
        _keep(new["metadata"], objects.metadata(old), key)
    rules.on_status_update(new, old)


def date_conditions(resource: Resource, new: dict[str, Any], old: Object, now: str) -> None:
    """Say since when the conditions of a new status hold, of kinds whose clients need not."""
    _rules_of(resource).date(new, old, now)


def default_propagation(resource: Resource) -> str:
    """Return what becomes of the dependents of a deleted object by default: "Orphan" or ""."""
    return _rules_of(resource).default_propagation


def deletion_grace(resource: Resource, obj: Object, requested: int | None) -> int:
    """Return the grace period of a deletion in seconds; 0 deletes at once unless finalizers remain."""
    return _rules_of(resource).grace_period(obj, requested)


def begin_deletion(obj: dict[str, Any], *, deletion_timestamp: str, grace_period_s: int) -> None:
    """Mark an object as being deleted; the timestamp is when the grace period ends."""
    metadata = obj["metadata"]
    metadata["deletionTimestamp"] = deletion_timestamp
    metadata["deletionGracePeriodSeconds"] = grace_period_s
    if metadata.get("generation"):
        metadata["generation"] += 1


def _keep_metadata(resource: Resource, new: dict[str, Any], old: Object) -> None:
    metadata, before = new.setdefault("metadata", {}), objects.metadata(old)
    metadata.pop("selfLink", None)
    new["apiVersion"], new["kind"] = resource.api_version, resource.kind
    for key in ("generation", "creationTimestamp"):
        _keep(metadata, before, key)
    if before.get("deletionTimestamp"):  # who sets one where there is none is refused
        metadata["deletionTimestamp"] = before["deletionTimestamp"]
    for key in ("uid", "namespace", "name", "generateName"):
        if not metadata.get(key) and before.get(key):
            metadata[key] = before[key]
    if metadata.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in before:
        metadata["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]


def _keep(new: dict[str, Any], old: Object, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)
