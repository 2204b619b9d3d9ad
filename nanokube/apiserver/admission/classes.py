"""Default classes: of a claim without StorageClass, of an Ingress without IngressClass; and RuntimeClass.

Source: plugin/pkg/admission/storage/storageclass/setdefault, network/defaultingressclass, runtimeclass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from nanokube.api import errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup, newest

_STORAGE: Final = "storageclasses.storage.k8s.io"
_INGRESS: Final = "ingressclasses.networking.k8s.io"
_STORAGE_DEFAULTS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_INGRESS_DEFAULT: Final = "ingressclass.kubernetes.io/is-default-class"
_BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_INGRESS_ANNOTATION: Final = "kubernetes.io/ingress.class"
# kind -> its field, the older annotation, the kind of the classes, annotations of a default class
_DEFAULTED: Final = {
    "persistentvolumeclaims": ("storageClassName", _BETA_CLASS, _STORAGE, _STORAGE_DEFAULTS),
    "ingresses.networking.k8s.io": (
        "ingressClassName",
        _INGRESS_ANNOTATION,
        _INGRESS,
        (_INGRESS_DEFAULT,),
    ),
}


def _has(obj: Mapping[str, Any], *names: str) -> bool:
    annotations = obj["metadata"].get("annotations") or {}
    return any(annotations.get(name) == "true" for name in names)


class DefaultClasses(chain.Plugin):
    """DefaultStorageClass and DefaultIngressClass."""

    made_of: ClassVar[Sequence[str]] = ()

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return operation == chain.CREATE and resource in _DEFAULTED and not subresource

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Name the default class."""
        a = attributes
        if a.operation != chain.CREATE or a.subresource or a.obj is None:
            return
        rule = _DEFAULTED.get(a.resource.name)
        if rule is None:
            return
        field, annotation, classes, marks = rule
        spec = a.obj.setdefault("spec", {})
        if spec.get(field) is not None or annotation in (a.obj["metadata"].get("annotations") or {}):
            return
        found = newest(c for c in self._lookup.scan(classes, "") if _has(c, *marks))
        if found is not None:
            spec[field] = found["metadata"]["name"]


class RuntimeClass(chain.Plugin):
    """Gives a Pod the overhead, the node selector and the tolerations of its RuntimeClass."""

    made_of: ClassVar[Sequence[str]] = ("runtimeclasses.node.k8s.io",)

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.CREATE, "pods", "")

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Apply the class."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.operation != chain.CREATE or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        name = spec.get("runtimeClassName")
        if not name:
            if spec.get("overhead"):
                cause = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
                raise errors.forbidden(a.resource, a.name, cause)
            return
        found = self._lookup.find("runtimeclasses.node.k8s.io", name)
        if found is None:
            raise errors.forbidden(a.resource, a.name, f'pod rejected: RuntimeClass "{name}" not found')
        _overhead(a, spec, (found.get("overhead") or {}).get("podFixed") or {})
        _scheduling(a, spec, found.get("scheduling") or {})


def _overhead(a: chain.Attributes, spec: dict[str, Any], wanted: dict[str, Any]) -> None:
    said = spec.get("overhead") or {}
    if said and said != wanted:
        cause = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise errors.forbidden(a.resource, a.name, cause)
    if wanted:
        spec["overhead"] = wanted


def _scheduling(a: chain.Attributes, spec: dict[str, Any], scheduling: dict[str, Any]) -> None:
    selector, own = scheduling.get("nodeSelector") or {}, spec.get("nodeSelector") or {}
    for key, value in selector.items():
        if own.get(key, value) != value:
            cause = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
            cause += f"pod.spec.nodeSelector[{key}] = {own[key]}"
            raise errors.forbidden(a.resource, a.name, cause)
    if selector:
        spec["nodeSelector"] = {**own, **selector}
    tolerations = spec.get("tolerations") or []
    added = [t for t in scheduling.get("tolerations") or () if t not in tolerations]
    if added:
        spec["tolerations"] = [*tolerations, *added]
