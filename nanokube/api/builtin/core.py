"""Rows of the core group and of events."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import (
    CONNECT_VERBS,
    CREATE_ONLY,
    PROXY_VERBS,
    STANDARD_VERBS,
    STATUS_VERBS,
    GroupVersion,
    Resource,
    Subresource,
    scale,
)

_V1: Final = GroupVersion("", "v1")
_ALL: Final = ("all",)
_NO_DELETECOLLECTION: Final = tuple(v for v in STANDARD_VERBS if v != "deletecollection")
_POD: Final = (
    Subresource("attach", "PodAttachOptions", CONNECT_VERBS),
    Subresource("binding", "Binding", CREATE_ONLY),
    Subresource("ephemeralcontainers", "Pod", STATUS_VERBS),
    Subresource("eviction", "Eviction", CREATE_ONLY, "policy", "v1"),
    Subresource("exec", "PodExecOptions", CONNECT_VERBS),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", CONNECT_VERBS),
    Subresource("proxy", "PodProxyOptions", PROXY_VERBS),
    Subresource("resize", "Pod", STATUS_VERBS),
)
_FINALIZE: Final = Subresource("finalize", "Namespace", ("update",))
_NODE_PROXY: Final = Subresource("proxy", "NodeProxyOptions", PROXY_VERBS)
_SERVICE_PROXY: Final = Subresource("proxy", "ServiceProxyOptions", PROXY_VERBS)
_TOKEN: Final = Subresource("token", "TokenRequest", CREATE_ONLY, "authentication.k8s.io", "v1")

ROWS: Final[tuple[Resource, ...]] = (
    _V1.kind("Binding", "bindings", verbs=CREATE_ONLY),
    _V1.kind("ComponentStatus", "componentstatuses", "cs", is_global=True, verbs=("get", "list")),
    _V1.kind("ConfigMap", "configmaps", "cm"),
    _V1.kind("Endpoints", "endpoints", "ep"),
    _V1.kind("Event", "events", "ev"),
    _V1.kind("LimitRange", "limitranges", "limits"),
    _V1.kind(
        "Namespace",
        "namespaces",
        "ns",
        is_global=True,
        verbs=_NO_DELETECOLLECTION,
        subresources=(_FINALIZE,),
        has_status=True,
    ),
    _V1.kind("Node", "nodes", "no", is_global=True, subresources=(_NODE_PROXY,), has_status=True),
    _V1.kind("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", has_status=True),
    _V1.kind("PersistentVolume", "persistentvolumes", "pv", is_global=True, has_status=True),
    _V1.kind("Pod", "pods", "po", categories=_ALL, subresources=_POD, has_status=True, has_generation=True),
    _V1.kind("PodTemplate", "podtemplates", has_generation=True),
    _V1.kind(
        "ReplicationController",
        "replicationcontrollers",
        "rc",
        categories=_ALL,
        subresources=(scale(),),
        has_status=True,
        has_generation=True,
    ),
    _V1.kind("ResourceQuota", "resourcequotas", "quota", has_status=True),
    _V1.kind("Secret", "secrets"),
    _V1.kind("ServiceAccount", "serviceaccounts", "sa", subresources=(_TOKEN,)),
    _V1.kind("Service", "services", "svc", categories=_ALL, subresources=(_SERVICE_PROXY,), has_status=True),
)

EVENTS: Final = (GroupVersion("events.k8s.io", "v1").kind("Event", "events", "ev", stored_as="events"),)
