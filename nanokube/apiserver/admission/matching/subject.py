"""A write as webhooks and policies are shown it: in the version they ask for, under the kind it has.

What a subresource takes is an object of its own: a Scale, a Binding, the options of an exec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from nanokube.api import errors, scaling
from nanokube.api.resources import Resource
from nanokube.api.selectors import LabelSelector
from nanokube.apiserver.admission.chain import CREATE, DELETE, UPDATE, Attributes
from nanokube.apiserver.admission.matching.versions import Versions

Object = Mapping[str, Any]
FindNamespace = Callable[[str], Object | None]

OPTIONS: Final[Mapping[str, str]] = {
    CREATE: "CreateOptions",
    UPDATE: "UpdateOptions",
    DELETE: "DeleteOptions",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A group-version-kind."""

    group: str
    version: str
    kind: str

    def to_object(self) -> dict[str, str]:
        """Build a GroupVersionKind."""
        return {"group": self.group, "version": self.version, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Shown:
    """The objects of a write in one version. obj None: a deletion. old None: a creation."""

    resource: Resource
    kind: Kind
    obj: Object | None
    old: Object | None


class Subject:
    """One write in one phase of admission; what was made of it is let go of at the end of the block.

    That refers back to it, and so would stay until the next garbage collection, with the objects of the
    write: the memory of the next writes would be other memory each time, which is slow.
    """

    def __init__(self, attributes: Attributes, versions: Versions, find_namespace: FindNamespace) -> None:
        self.attributes = attributes
        self.resource = attributes.requested or attributes.resource
        self._versions = versions
        self._find_namespace = find_namespace
        self._shown: dict[str, Shown] = {}
        self.converted: dict[Any, Any] = {}  # what CEL made of the objects, by who made it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def _forget(self) -> None:
        self._shown.clear()
        self.converted.clear()

    @property
    def namespace(self) -> str:
        """The namespace of a request; one for a Namespace is about itself."""
        a = self.attributes
        return a.name if a.resource.name == "namespaces" else a.namespace

    @property
    def name(self) -> str:
        """The name of the object, empty if the server makes one up."""
        return self.attributes.name

    @property
    def kind(self) -> Kind:
        """The kind of what was sent."""
        return self.kind_of(self.resource)

    def kind_of(self, resource: Resource) -> Kind:
        """Name the kind of what is sent to a resource, or to the subresource of it that this is about."""
        row = resource.subresource(self.attributes.subresource) if self.attributes.subresource else None
        if row is None or row.kind == resource.kind:
            return Kind(resource.group, resource.version, resource.kind)
        if row.version:
            return Kind(row.group, row.version, row.kind)
        return Kind(resource.group, resource.version, row.kind)

    async def at(self, resource: Resource) -> Shown:
        """Show the objects as a resource has them. Raises ApiError."""
        key = resource.api_version
        found = self._shown.get(key)
        if found is None:
            a, kind = self.attributes, self.kind_of(resource)
            obj: Object | None = a.obj
            old = a.old
            if resource is not a.resource or a.subresource:
                obj, old = await self._convert(obj, resource), await self._convert(old, resource)
            found = self._shown[key] = Shown(resource, kind, obj, old)
        return found

    async def _convert(self, obj: Object | None, resource: Resource) -> Object | None:
        if obj is None:
            return None
        if self.attributes.subresource == "scale":
            return scaling.scale_of(self.attributes.resource, obj)
        if self._is_other_kind or resource is self.attributes.resource:
            return obj
        return await self._versions.convert(obj, self.attributes.resource, resource)

    @property
    def _is_other_kind(self) -> bool:
        resource = self.attributes.resource
        return self.kind_of(resource).kind != resource.kind

    async def put(self, shown: Shown, obj: dict[str, Any], *, is_strict: bool = False) -> bool:
        """Take what became of the object, in place; tell whether it changed.

        is_strict: fields that the kind does not have are errors. Raises ApiError.
        """
        a = self.attributes
        assert a.obj is not None
        assert shown.obj is not None
        if (obj.get("apiVersion"), obj.get("kind")) != (shown.obj.get("apiVersion"), shown.obj.get("kind")):
            raise errors.internal("the kind of an object cannot be changed by admission")
        if a.subresource == "scale":
            new = scaling.put_scale(a.resource, a.obj, obj)
        elif self._is_other_kind:
            new = obj
        else:
            new = self._versions.clean(obj, shown.resource, is_strict=is_strict)
            if shown.resource is not a.resource:
                new = self._versions.clean(
                    await self._versions.convert(new, shown.resource, a.resource), a.resource
                )
            _keep_managers(new, a.obj)
        if new == a.obj:
            return False
        a.obj.clear()
        a.obj.update(new)
        a.is_changed = True
        self._forget()
        return True

    def selects_namespace(self, selector: LabelSelector) -> bool:
        """Tell whether a namespaceSelector takes the request. Raises ApiError (404)."""
        if selector.is_empty:
            return True
        a = self.attributes
        is_namespace = a.resource.name == "namespaces"
        if not a.resource.namespaced and not is_namespace:
            return True
        if is_namespace and not a.subresource and a.operation in (CREATE, UPDATE):
            return selector.matches(_labels(a.obj) or {})
        found = self.namespace_object()
        if found is None:
            text = f'namespaces "{self.namespace}" not found'
            raise errors.ApiError("NotFound", 404, text, {"name": self.namespace, "kind": "namespaces"})
        return selector.matches(_labels(found) or {})

    def selects_object(self, selector: LabelSelector) -> bool:
        """Tell whether an objectSelector takes the object, as it is or as it was."""
        if selector.is_empty:
            return True
        a = self.attributes
        if a.subresource == "scale":
            return selector.matches({})
        return any(labels is not None and selector.matches(labels) for labels in map(_labels, (a.obj, a.old)))

    def namespace_object(self) -> Object | None:
        """Give the Namespace of the request; None if it is about something cluster-scoped."""
        return self._find_namespace(self.namespace) if self.namespace else None

    def request(self, shown: Shown) -> dict[str, Any]:
        """Build the request of an AdmissionReview, without uid and objects."""
        a = self.attributes
        return {
            "kind": shown.kind.to_object(),
            "resource": _resource(shown.resource),
            **({"subResource": a.subresource} if a.subresource else {}),
            "requestKind": self.kind.to_object(),
            "requestResource": _resource(self.resource),
            **({"requestSubResource": a.subresource} if a.subresource else {}),
            **({"name": self.name} if self.name else {}),
            **({"namespace": self.namespace} if self.namespace else {}),
            "operation": a.operation,
            "userInfo": a.user.to_object(),
            "dryRun": a.is_dry_run,
            "options": self.options(),
        }

    def options(self) -> dict[str, Any] | None:
        """Build the options of the operation."""
        kind = OPTIONS.get(self.attributes.operation)
        if kind is None:
            return None
        dry = {"dryRun": ["All"]} if self.attributes.is_dry_run else {}
        return {"kind": kind, "apiVersion": "meta.k8s.io/v1", **dry, **self.attributes.options}


def _resource(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _labels(obj: Object | None) -> Mapping[str, str] | None:
    """Read the labels of an object; None if it is none that could have them."""
    if obj is None or "metadata" not in obj:
        return None
    return (obj["metadata"] or {}).get("labels") or {}


def _keep_managers(new: dict[str, Any], old: Object) -> None:
    """Admission changes fields, not who owns them."""
    entries = old["metadata"].get("managedFields")
    if entries is None:
        new.get("metadata", {}).pop("managedFields", None)
    else:
        new["metadata"]["managedFields"] = entries
