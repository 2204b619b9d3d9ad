"""Default values of built-in kinds, applied to a decoded object in place. Pure.

The façade of this package: one file a kind or family; adding a kind is a row in the table below.
Source: pkg/apis/*/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import facts, zeros
from nanokube.api.custom import definition
from nanokube.api.defaults import admission, batch, core, pod, policies, service, storage, workloads
from nanokube.api.resources import Resource

_BY_NAME: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
    "pods": pod.apply,
    "services": service.apply,
    "endpoints": core.endpoints,
    "secrets": core.secret,
    "namespaces": core.namespace,
    "nodes": core.node,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "endpointslices.discovery.k8s.io": core.endpoint_slice,
    "controllerrevisions.apps": workloads.controller_revision,
    "daemonsets.apps": workloads.daemon_set,
    "statefulsets.apps": workloads.stateful_set,
    "replicationcontrollers": workloads.replication_controller,
    "podtemplates": workloads.pod_template,
    "jobs.batch": batch.job,
    "cronjobs.batch": batch.cron_job,
    "persistentvolumeclaims": storage.claim,
    "persistentvolumes": storage.volume,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "csidrivers.storage.k8s.io": storage.csi_driver,
    "limitranges": policies.limit_range,
    "horizontalpodautoscalers.autoscaling": policies.horizontal_pod_autoscaler,
    "ingressclasses.networking.k8s.io": policies.ingress_class,
    "networkpolicies.networking.k8s.io": policies.network_policy,
    "rolebindings.rbac.authorization.k8s.io": policies.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": policies.role_binding,
    "priorityclasses.scheduling.k8s.io": policies.priority_class,
    "flowschemas.flowcontrol.apiserver.k8s.io": policies.flow_schema,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": policies.priority_level,
    "resourceclaims.resource.k8s.io": policies.resource_claim,
    "resourceclaimtemplates.resource.k8s.io": policies.resource_claim_template,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": admission.mutating,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": admission.validating,
    "validatingadmissionpolicies.admissionregistration.k8s.io": admission.policy,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": admission.policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": admission.binding,
    "apiservices.apiregistration.k8s.io": admission.api_service,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": admission.binding,
    "customresourcedefinitions.apiextensions.k8s.io": definition.apply_defaults,
}


# of kinds all whose other defaults are of the spec
_OF_STATUS: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {"pods": pod.apply_to_status}


def apply_to_status(resource: Resource, obj: dict[str, Any]) -> None:
    """Fill in an object of which only the status is new, in place; the rest had its defaults before."""
    name = facts.name_of(resource.group, resource.version, resource.kind)
    found = _OF_STATUS.get(resource.name)
    if found is None or name is None:
        apply(resource, obj)
        return
    if obj.get("status") is None:
        obj["status"] = {}
    found(obj["status"])
    status = facts.definition(name).fields["status"].type.name
    zeros.fill(status, obj["status"])
    zeros.fill_nulls(status, obj["status"])


def apply_around_spec(resource: Resource, obj: dict[str, Any]) -> None:
    """Fill in an object whose spec has its defaults, of a kind that has no others, in place."""
    spec, obj["spec"] = obj["spec"], {}
    name = facts.name_of(resource.group, resource.version, resource.kind)
    if name is not None:
        zeros.fill(name, obj)
        zeros.fill_nulls(name, obj)
    obj["spec"] = spec


def apply(resource: Resource, obj: dict[str, Any]) -> None:
    """Fill in the defaults of a kind, and the structs that are there even if empty, in place."""
    if resource.custom is not None:
        resource.custom.apply_defaults(obj)
        return
    name = facts.name_of(resource.group, resource.version, resource.kind)
    if name is not None:
        zeros.fill(name, obj)
    found = _BY_NAME.get(resource.name)
    if found is not None:
        found(obj)
    if name is not None:
        zeros.fill_nulls(name, obj)
