"""Rows of admission, custom resources, scheduling, coordination, nodes, discovery, devices, flow control."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import GroupVersion, Resource

_ADMISSION: Final = GroupVersion("admissionregistration.k8s.io", "v1")
_RESOURCE: Final = GroupVersion("resource.k8s.io", "v1")
_FLOW: Final = GroupVersion("flowcontrol.apiserver.k8s.io", "v1")


def _admission(kind: str, plural: str, *, has_status: bool = False) -> Resource:
    return _ADMISSION.kind(
        kind,
        plural,
        is_global=True,
        categories=("api-extensions",),
        has_status=has_status,
        has_generation=True,
    )


ROWS: Final[tuple[Resource, ...]] = (
    _admission("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    _admission("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    _admission("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    _admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies", has_status=True),
    _admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    _admission("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    GroupVersion("scheduling.k8s.io", "v1").kind(
        "PriorityClass", "priorityclasses", "pc", is_global=True, has_generation=True
    ),
    GroupVersion("coordination.k8s.io", "v1").kind("Lease", "leases"),
    GroupVersion("node.k8s.io", "v1").kind("RuntimeClass", "runtimeclasses", is_global=True),
    GroupVersion("discovery.k8s.io", "v1").kind("EndpointSlice", "endpointslices", has_generation=True),
    _RESOURCE.kind("DeviceClass", "deviceclasses", is_global=True, has_generation=True),
    _RESOURCE.kind("ResourceClaim", "resourceclaims", has_status=True),
    _RESOURCE.kind("ResourceClaimTemplate", "resourceclaimtemplates"),
    _RESOURCE.kind("ResourceSlice", "resourceslices", is_global=True, has_generation=True),
    _FLOW.kind("FlowSchema", "flowschemas", is_global=True, has_status=True, has_generation=True),
    _FLOW.kind(
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        is_global=True,
        has_status=True,
        has_generation=True,
    ),
    GroupVersion("apiregistration.k8s.io", "v1").kind(
        "APIService", "apiservices", is_global=True, categories=("api-extensions",), has_status=True
    ),
    GroupVersion("apiextensions.k8s.io", "v1").kind(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd",
        "crds",
        is_global=True,
        categories=("api-extensions",),
        has_status=True,
        has_generation=True,
    ),
)
