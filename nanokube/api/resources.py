"""The table of built-in resources: names, scope, verbs, subresources. Pure.

Routing, discovery, OpenAPI, RBAC names and table printing all read this table. Adding a built-in kind is a
row
here plus files in `defaults/`, `validation/`, `strategy/` and `table/` where the kind has rules of its own; a
CustomResourceDefinition makes the same record at run time.
Source: api/discovery/*.json of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

STANDARD_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE_ONLY: Final = ("create",)
STATUS_VERBS: Final = ("get", "patch", "update")
CONNECT_VERBS: Final = ("create", "get")
PROXY_VERBS: Final = ("create", "delete", "get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object; `group`, `version`, `kind` are of the body, empty meaning the parent's."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""

    @property
    def api_version(self) -> str:
        """The body's apiVersion, or "" if it is the parent's."""
        return f"{self.group}/{self.version}" if self.group and self.version else self.version


@dataclass(frozen=True)
class Resource:
    """One resource of one group-version."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = STANDARD_VERBS
    subresources: tuple[Subresource, ...] = ()
    has_generation: bool = False
    """Whether the server counts changes of the spec in `metadata.generation`."""
    stored_as: str = ""
    """Name of the resource whose objects these are, when several group-versions show the same ones."""

    @cached_property
    def name(self) -> str:
        """Group-resource as RBAC and messages spell it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def api_version(self) -> str:
        """`apiVersion` of the objects: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def list_kind(self) -> str:
        """Kind of a list of these objects."""
        return f"{self.kind}List"

    @cached_property
    def storage_name(self) -> str:
        """Group-resource under which objects are stored."""
        return self.stored_as or self.name

    @cached_property
    def is_stored(self) -> bool:
        """Whether objects persist; reviews, for example, are answered and forgotten."""
        return "get" in self.verbs

    @cached_property
    def root(self) -> str:
        """Path of the group-version: "/api/v1" or "/apis/<group>/<version>"."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Build the URL path of a collection, an object or its subresource."""
        parts = [self.root]
        if namespace and self.namespaced:
            parts += ("namespaces", namespace)
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def subresource(self, name: str) -> Subresource | None:
        """Return the subresource of that name, if the resource has it."""
        return next((s for s in self.subresources if s.name == name), None)

    def __hash__(self) -> int:
        return hash((self.group, self.version, self.plural))


def _status(kind: str) -> Subresource:
    return Subresource("status", kind, STATUS_VERBS)


def _scale() -> Subresource:
    return Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1")


_NO_DELETECOLLECTION: Final = tuple(v for v in STANDARD_VERBS if v != "deletecollection")

_POD_SUBRESOURCES: Final = (
    Subresource("attach", "PodAttachOptions", CONNECT_VERBS),
    Subresource("binding", "Binding", CREATE_ONLY),
    Subresource("ephemeralcontainers", "Pod", STATUS_VERBS),
    Subresource("eviction", "Eviction", CREATE_ONLY, "policy", "v1"),
    Subresource("exec", "PodExecOptions", CONNECT_VERBS),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", CONNECT_VERBS),
    Subresource("proxy", "PodProxyOptions", PROXY_VERBS),
    _status("Pod"),
)

ALL: Final[tuple[Resource, ...]] = (
    Resource("", "v1", "Binding", "bindings", "binding", True, verbs=CREATE_ONLY),
    Resource("", "v1", "ConfigMap", "configmaps", "configmap", True, ("cm",)),
    Resource("", "v1", "Endpoints", "endpoints", "endpoints", True, ("ep",)),
    Resource("", "v1", "Event", "events", "event", True, ("ev",)),
    Resource(
        "",
        "v1",
        "Namespace",
        "namespaces",
        "namespace",
        False,
        ("ns",),
        verbs=_NO_DELETECOLLECTION,
        subresources=(Subresource("finalize", "Namespace", ("update",)), _status("Namespace")),
    ),
    Resource(
        "",
        "v1",
        "Node",
        "nodes",
        "node",
        False,
        ("no",),
        subresources=(Subresource("proxy", "NodeProxyOptions", PROXY_VERBS), _status("Node")),
    ),
    Resource(
        "",
        "v1",
        "Pod",
        "pods",
        "pod",
        True,
        ("po",),
        ("all",),
        subresources=_POD_SUBRESOURCES,
        has_generation=True,
    ),
    Resource("", "v1", "Secret", "secrets", "secret", True),
    Resource(
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        "serviceaccount",
        True,
        ("sa",),
        subresources=(Subresource("token", "TokenRequest", CREATE_ONLY, "authentication.k8s.io", "v1"),),
    ),
    Resource(
        "",
        "v1",
        "Service",
        "services",
        "service",
        True,
        ("svc",),
        ("all",),
        subresources=(Subresource("proxy", "ServiceProxyOptions", PROXY_VERBS), _status("Service")),
    ),
    Resource(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "deployment",
        True,
        ("deploy",),
        ("all",),
        subresources=(_scale(), _status("Deployment")),
        has_generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        "replicaset",
        True,
        ("rs",),
        ("all",),
        subresources=(_scale(), _status("ReplicaSet")),
        has_generation=True,
    ),
    Resource(
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        "event",
        True,
        ("ev",),
        stored_as="events",
    ),
    Resource(
        "authentication.k8s.io",
        "v1",
        "SelfSubjectReview",
        "selfsubjectreviews",
        "selfsubjectreview",
        False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        "authentication.k8s.io",
        "v1",
        "TokenReview",
        "tokenreviews",
        "tokenreview",
        False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        True,
        verbs=CREATE_ONLY,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        False,
        verbs=CREATE_ONLY,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview",
        "subjectaccessreviews",
        "subjectaccessreview",
        False,
        verbs=CREATE_ONLY,
    ),
    Resource("coordination.k8s.io", "v1", "Lease", "leases", "lease", True),
    Resource(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        "endpointslice",
        True,
        has_generation=True,
    ),
)

_BY_NAME: Final[Mapping[str, Resource]] = {r.name: r for r in ALL}
_BY_PATH: Final[Mapping[tuple[str, str, str], Resource]] = {(r.group, r.version, r.plural): r for r in ALL}
_BY_KIND: Final[Mapping[tuple[str, str], Resource]] = {(r.api_version, r.kind): r for r in ALL}


def get(name: str) -> Resource:
    """Return a built-in resource by group-resource ("pods", "deployments.apps"). Raises KeyError."""
    return _BY_NAME[name]


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the built-in resource of a URL path, if there is one."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Return the built-in resource whose objects have that apiVersion and kind, if there is one."""
    return _BY_KIND.get((api_version, kind))


def versions_of(resource: Resource) -> Iterable[Resource]:
    """Yield every built-in resource that shows the same stored objects, itself included."""
    return (r for r in ALL if r.storage_name == resource.storage_name)
