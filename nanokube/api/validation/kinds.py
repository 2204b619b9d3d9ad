"""Which rules each kind has beyond its metadata. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import (
    access,
    admission_policies,
    api_services,
    autoscaling,
    batch,
    certificates,
    cluster,
    config,
    controllers,
    csi,
    devices,
    endpoints,
    event,
    extensions,
    flow,
    formats,
    ingress,
    job_updates,
    lease,
    names,
    networking,
    pod,
    policies,
    quota,
    resource_claims,
    resource_slices,
    service,
    statuses,
    storage,
    storage_classes,
    webhooks,
    workloads,
)


def _nothing(obj: Object) -> list[FieldError]:
    return []


def _no_change(new: Object, old: Object) -> list[FieldError]:
    return []


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind."""

    name: Callable[[str], list[str]]
    create: Callable[[Object], list[FieldError]] = _nothing
    """What must hold of every object."""
    update: Callable[[Object, Object], list[FieldError]] = _no_change
    """What must hold between an object and the one it replaces."""
    status: Callable[[Object, Object], list[FieldError]] = _no_change
    """What must hold of a new status."""
    only_new: Callable[[Object], list[FieldError]] = _nothing
    """What must hold only of an object that is being created."""
    replacement: Callable[[Object, Object], list[FieldError]] | None = None
    """Stands in for `create` on update, where what the old object has may be kept though it is wrong."""


BY_NAME: Final[Mapping[str, Kind]] = {
    "pods": Kind(
        names.dns_subdomain, pod.validate, pod.validate_update, statuses.pod, only_new=pod.validate_new
    ),
    "services": Kind(names.dns_label, service.validate, service.validate_update, statuses.service),
    "namespaces": Kind(names.dns_label, cluster.validate_namespace, status=statuses.namespace),
    "nodes": Kind(names.dns_subdomain, cluster.validate_node, cluster.validate_node_update, statuses.node),
    "configmaps": Kind(names.dns_subdomain, config.validate_config_map, config.validate_config_map_update),
    "secrets": Kind(names.dns_subdomain, config.validate_secret, config.validate_secret_update),
    "serviceaccounts": Kind(names.dns_subdomain),
    "endpoints": Kind(names.dns_subdomain, endpoints.validate),
    "events": Kind(formats.path_segment, event.validate),  # named after what they are about, as system:node
    "events.events.k8s.io": Kind(
        names.dns_subdomain,
        event.validate_new_style,
        event.validate_update,
        only_new=event.validate_strictly,
    ),
    "leases.coordination.k8s.io": Kind(names.dns_subdomain, lease.validate),
    "endpointslices.discovery.k8s.io": Kind(
        names.dns_subdomain, endpoints.validate_slice, endpoints.validate_slice_update
    ),
    "deployments.apps": Kind(
        names.dns_subdomain,
        workloads.validate_deployment,
        workloads.validate_selector_update,
        statuses.deployment,
    ),
    "replicasets.apps": Kind(
        names.dns_subdomain,
        workloads.validate_replica_set,
        workloads.validate_selector_update,
        statuses.replica_set,
    ),
    "daemonsets.apps": Kind(
        names.dns_subdomain,
        controllers.validate_daemon_set,
        workloads.validate_selector_update,
        statuses.daemon_set,
    ),
    "statefulsets.apps": Kind(
        names.dns_label,
        controllers.validate_stateful_set,
        controllers.validate_stateful_set_update,
        statuses.stateful_set,
    ),
    "controllerrevisions.apps": Kind(
        names.dns_subdomain,
        controllers.validate_controller_revision,
        controllers.validate_controller_revision_update,
        only_new=controllers.validate_new_controller_revision,
    ),
    "replicationcontrollers": Kind(
        names.dns_subdomain, controllers.validate_replication_controller, status=statuses.replica_set
    ),
    "podtemplates": Kind(names.dns_subdomain, controllers.validate_pod_template),
    "jobs.batch": Kind(
        names.dns_subdomain, batch.validate_job, job_updates.validate, job_updates.validate_status
    ),
    "cronjobs.batch": Kind(names.dns_subdomain, batch.validate_cron_job),
    "poddisruptionbudgets.policy": Kind(
        formats.path_segment, controllers.validate_disruption_budget, status=statuses.budget
    ),
    "horizontalpodautoscalers.autoscaling": Kind(
        names.dns_subdomain,
        autoscaling.validate,
        status=autoscaling.validate_status,
        replacement=autoscaling.validate_replacement,
    ),
    "persistentvolumeclaims": Kind(
        names.dns_subdomain, storage.validate_claim, storage.validate_claim_update, statuses.claim
    ),
    "persistentvolumes": Kind(names.dns_subdomain, storage.validate_volume, storage.validate_volume_update),
    "storageclasses.storage.k8s.io": Kind(
        names.dns_subdomain,
        storage_classes.validate_storage_class,
        storage_classes.validate_storage_class_update,
    ),
    "volumeattributesclasses.storage.k8s.io": Kind(
        names.dns_subdomain,
        storage_classes.validate_attributes_class,
        storage_classes.validate_attributes_class_update,
    ),
    "csidrivers.storage.k8s.io": Kind(names.dns_subdomain, csi.validate_driver, csi.validate_driver_update),
    "csinodes.storage.k8s.io": Kind(names.dns_subdomain, csi.validate_node, csi.validate_node_update),
    "csistoragecapacities.storage.k8s.io": Kind(
        names.dns_subdomain, csi.validate_capacity, csi.validate_capacity_update
    ),
    "volumeattachments.storage.k8s.io": Kind(
        names.dns_subdomain,
        csi.validate_attachment,
        csi.validate_attachment_update,
        csi.validate_attachment_status,
    ),
    "limitranges": Kind(names.dns_subdomain, policies.validate_limit_range),
    "resourcequotas": Kind(
        names.dns_subdomain, quota.validate_quota, quota.validate_quota_update, statuses.resource_quota
    ),
    "priorityclasses.scheduling.k8s.io": Kind(
        names.dns_subdomain,
        policies.validate_priority_class,
        replacement=policies.validate_priority_class_update,
    ),
    "runtimeclasses.node.k8s.io": Kind(
        names.dns_subdomain, policies.validate_runtime_class, policies.validate_runtime_class_update
    ),
    "ingresses.networking.k8s.io": Kind(
        names.dns_subdomain, ingress.validate, status=ingress.validate_status, only_new=ingress.validate_new
    ),
    "ingressclasses.networking.k8s.io": Kind(
        names.dns_subdomain, ingress.validate_class, replacement=ingress.validate_class_replacement
    ),
    "networkpolicies.networking.k8s.io": Kind(
        names.dns_subdomain, networking.validate_policy, replacement=networking.validate_policy_replacement
    ),
    "ipaddresses.networking.k8s.io": Kind(
        formats.canonical_ip, networking.validate_address, networking.validate_address_update
    ),
    "servicecidrs.networking.k8s.io": Kind(
        names.dns_subdomain,
        networking.validate_service_cidr,
        replacement=networking.validate_service_cidr_replacement,
    ),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": Kind(
        names.dns_subdomain, webhooks.validate
    ),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": Kind(
        names.dns_subdomain, webhooks.validate
    ),
    "validatingadmissionpolicies.admissionregistration.k8s.io": Kind(
        names.dns_subdomain,
        admission_policies.validate_validating,
        status=admission_policies.validate_status,
    ),
    "mutatingadmissionpolicies.admissionregistration.k8s.io": Kind(
        names.dns_subdomain, admission_policies.validate_mutating
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": Kind(
        names.dns_subdomain, admission_policies.validate_validating_binding
    ),
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": Kind(
        names.dns_subdomain, admission_policies.validate_mutating_binding
    ),
    "flowschemas.flowcontrol.apiserver.k8s.io": Kind(
        names.dns_subdomain, flow.validate_schema, status=flow.validate_status
    ),
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": Kind(
        names.dns_subdomain, flow.validate_level, status=flow.validate_status
    ),
    "deviceclasses.resource.k8s.io": Kind(names.dns_subdomain, devices.validate_class),
    "resourceclaims.resource.k8s.io": Kind(
        names.dns_subdomain,
        resource_claims.validate,
        status=resource_claims.validate_status,
        replacement=resource_claims.validate_replacement,
    ),
    "resourceclaimtemplates.resource.k8s.io": Kind(
        names.dns_subdomain,
        resource_claims.validate_template,
        resource_claims.validate_replacement,
    ),
    "resourceslices.resource.k8s.io": Kind(
        names.dns_subdomain, resource_slices.validate, resource_slices.validate_update
    ),
    "roles.rbac.authorization.k8s.io": Kind(formats.path_segment, access.validate_role),
    "clusterroles.rbac.authorization.k8s.io": Kind(formats.path_segment, access.validate_cluster_role),
    "rolebindings.rbac.authorization.k8s.io": Kind(
        formats.path_segment, access.validate_role_binding, access.validate_binding_update
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": Kind(
        formats.path_segment, access.validate_cluster_role_binding, access.validate_binding_update
    ),
    "certificatesigningrequests.certificates.k8s.io": Kind(
        formats.path_segment, certificates.validate, status=certificates.validate_status
    ),
    "apiservices.apiregistration.k8s.io": Kind(
        formats.path_segment, api_services.validate, status=api_services.validate_status
    ),
    "customresourcedefinitions.apiextensions.k8s.io": Kind(
        names.dns_subdomain,
        extensions.validate,
        status=extensions.validate_status,
        replacement=extensions.validate_replacement,
    ),
}
