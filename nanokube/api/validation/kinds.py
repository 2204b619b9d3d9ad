"""Which rules each kind has beyond its metadata. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import (
    access,
    batch,
    cluster,
    config,
    controllers,
    endpoints,
    event,
    lease,
    names,
    pod,
    policies,
    service,
    storage,
    workloads,
)


def _nothing(obj: Object) -> list[FieldError]:
    return []


def _no_change(new: Object, old: Object) -> list[FieldError]:
    return []


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind: its names, a new object, a replacement, a new status."""

    name: Callable[[str], list[str]]
    create: Callable[[Object], list[FieldError]] = _nothing
    update: Callable[[Object, Object], list[FieldError]] = _no_change
    status: Callable[[Object, Object], list[FieldError]] = _no_change


BY_NAME: Final[Mapping[str, Kind]] = {
    "pods": Kind(names.dns_subdomain, pod.validate, pod.validate_update),
    "services": Kind(names.dns_label, service.validate, service.validate_update),
    "namespaces": Kind(names.dns_label),
    "nodes": Kind(names.dns_subdomain, cluster.validate_node, cluster.validate_node_update),
    "configmaps": Kind(names.dns_subdomain, config.validate_config_map, config.validate_config_map_update),
    "secrets": Kind(names.dns_subdomain, config.validate_secret, config.validate_secret_update),
    "serviceaccounts": Kind(names.dns_subdomain),
    "endpoints": Kind(names.dns_subdomain, endpoints.validate),
    "events": Kind(names.dns_subdomain, event.validate),
    "events.events.k8s.io": Kind(names.dns_subdomain, event.validate_new_style),
    "leases.coordination.k8s.io": Kind(names.dns_subdomain, lease.validate),
    "endpointslices.discovery.k8s.io": Kind(
        names.dns_subdomain, endpoints.validate_slice, endpoints.validate_slice_update
    ),
    "deployments.apps": Kind(
        names.dns_subdomain, workloads.validate_deployment, workloads.validate_selector_update
    ),
    "replicasets.apps": Kind(
        names.dns_subdomain, workloads.validate_replica_set, workloads.validate_selector_update
    ),
    "daemonsets.apps": Kind(
        names.dns_subdomain, controllers.validate_daemon_set, workloads.validate_selector_update
    ),
    "statefulsets.apps": Kind(
        names.dns_label, controllers.validate_stateful_set, controllers.validate_stateful_set_update
    ),
    "controllerrevisions.apps": Kind(
        names.dns_subdomain,
        controllers.validate_controller_revision,
        controllers.validate_controller_revision_update,
    ),
    "replicationcontrollers": Kind(names.dns_subdomain, controllers.validate_replication_controller),
    "podtemplates": Kind(names.dns_subdomain, controllers.validate_pod_template),
    "jobs.batch": Kind(names.dns_subdomain, batch.validate_job, batch.validate_job_update),
    "cronjobs.batch": Kind(names.dns_subdomain, batch.validate_cron_job),
    "poddisruptionbudgets.policy": Kind(names.dns_subdomain, controllers.validate_disruption_budget),
    "horizontalpodautoscalers.autoscaling": Kind(names.dns_subdomain, controllers.validate_autoscaler),
    "persistentvolumeclaims": Kind(
        names.dns_subdomain, storage.validate_claim, storage.validate_claim_update
    ),
    "persistentvolumes": Kind(names.dns_subdomain, storage.validate_volume, storage.validate_volume_update),
    "storageclasses.storage.k8s.io": Kind(
        names.dns_subdomain, storage.validate_storage_class, storage.validate_storage_class_update
    ),
    "limitranges": Kind(names.dns_subdomain, policies.validate_limit_range),
    "resourcequotas": Kind(names.dns_subdomain, policies.validate_quota, policies.validate_quota_update),
    "priorityclasses.scheduling.k8s.io": Kind(
        names.dns_subdomain, policies.validate_priority_class, policies.validate_priority_class_update
    ),
    "runtimeclasses.node.k8s.io": Kind(
        names.dns_subdomain, policies.validate_runtime_class, policies.validate_runtime_class_update
    ),
    "ingresses.networking.k8s.io": Kind(names.dns_subdomain, policies.validate_ingress),
    "ingressclasses.networking.k8s.io": Kind(
        names.dns_subdomain, policies.validate_ingress_class, policies.validate_ingress_class_update
    ),
    "networkpolicies.networking.k8s.io": Kind(names.dns_subdomain, policies.validate_network_policy),
    "roles.rbac.authorization.k8s.io": Kind(access.path_segment, access.validate_role),
    "clusterroles.rbac.authorization.k8s.io": Kind(access.path_segment, access.validate_cluster_role),
    "rolebindings.rbac.authorization.k8s.io": Kind(
        access.path_segment, access.validate_role_binding, access.validate_binding_update
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": Kind(
        access.path_segment, access.validate_cluster_role_binding, access.validate_binding_update
    ),
    "certificatesigningrequests.certificates.k8s.io": Kind(
        access.path_segment, access.validate_signing_request, access.validate_signing_request_update
    ),
    "ipaddresses.networking.k8s.io": Kind(names.ip_address),
}
