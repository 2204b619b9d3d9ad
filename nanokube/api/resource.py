"""The record of a resource: names, scope, verbs, subresources. Pure.

The tables of built-in kinds are in `builtin/`, and together in `resources`; a CustomResourceDefinition makes
the same record at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nanokube.api.custom.kind import CustomKind

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
    custom: CustomKind | None = field(default=None, compare=False, repr=False)
    """What a CustomResourceDefinition says of the objects; None for built-in kinds."""

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
        return self.custom.list_kind if self.custom is not None else f"{self.kind}List"

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


def status(kind: str) -> Subresource:
    """Make the row of /status."""
    return Subresource("status", kind, STATUS_VERBS)


def scale() -> Subresource:
    """Make the row of /scale."""
    return Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1")


@dataclass(frozen=True, slots=True)
class GroupVersion:
    """Makes rows of one group-version."""

    group: str
    version: str

    def kind(
        self,
        kind: str,
        plural: str,
        *short_names: str,
        is_global: bool = False,
        categories: tuple[str, ...] = (),
        verbs: tuple[str, ...] = STANDARD_VERBS,
        subresources: tuple[Subresource, ...] = (),
        has_status: bool = False,
        has_generation: bool = False,
        stored_as: str = "",
    ) -> Resource:
        """Make a row. is_global: cluster-scoped. has_status: /status follows the other subresources."""
        return Resource(
            self.group,
            self.version,
            kind,
            plural,
            kind.lower(),
            not is_global,
            short_names,
            categories,
            verbs,
            (*subresources, status(kind)) if has_status else subresources,
            has_generation,
            stored_as,
        )
