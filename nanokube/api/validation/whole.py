"""Validation of whole objects of built-in kinds, with Kubernetes' own paths and messages. Pure.

One file of this package a kind or a large part of one; adding a kind is a row in the table of kinds.py.
Objects must be pruned and have their defaults. Apart from the package's own module: whoever wants the format
of a name (names.py) need not import all kinds, which takes a fifth of a second.
Source: pkg/apis/*/validation.
"""

from __future__ import annotations

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.validation import certificates, ephemeral, formats, kinds, metadata, names, pod, resize
from nanokube.api.validation.kinds import Kind

_PLAIN = Kind(names.dns_subdomain)
_MIRROR = "kubernetes.io/config.mirror"
_WRITTEN_METADATA = ("labels", "annotations", "ownerReferences", "finalizers")
# whose finalizers upstream judges as an extension server does
_EXTENSION_GROUPS = (
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "admissionregistration.k8s.io",
    "node.k8s.io",
)
# of whose updated status upstream validates no metadata beyond what holds of every kind
_STATUS_ALONE = ("cronjobs.batch", "poddisruptionbudgets.policy")


def validate_create(
    resource: Resource,
    obj: Object,
    *,
    requested: Resource | None = None,
    own: list[FieldError] | None = None,
) -> list[FieldError]:
    """Return what is wrong with a new object.

    What is not stored (reviews, bindings) is its handler's to judge. requested: what the request names, if
    its objects are kept as those of another group, whose shape they have here (Events). own: what the kind's
    own rules say, if they were asked before (`extensions.validate_steps`).
    """
    if not resource.is_stored:
        return []
    if resource.custom is not None:
        found = metadata.validate(obj, resource.namespaced, names.dns_subdomain)
        return found + resource.custom.validate(obj, told=found)
    kind = kinds.BY_NAME.get((requested or resource).name, _PLAIN)
    found = metadata.validate(obj, resource.namespaced, kind.name) + _finalizers(resource, obj)
    return found + (kind.create(obj) if own is None else own) + kind.only_new(obj)


def validate_update(
    resource: Resource,
    new: Object,
    old: Object,
    *,
    requested: Resource | None = None,
    own: list[FieldError] | None = None,
) -> list[FieldError]:
    """Return what is wrong with an object that is to replace `old`. requested, own: see `validate_create`."""
    if resource.custom is not None:
        found = metadata.validate(new, resource.namespaced, names.dns_subdomain, is_update=True)
        return found + metadata.validate_update(new, old) + resource.custom.validate(new, old)
    kind = kinds.BY_NAME.get((requested or resource).name, _PLAIN)
    found = metadata.validate(new, resource.namespaced, kind.name, is_update=True)
    found += metadata.validate_update(new, old) + _finalizers(resource, new)
    if own is None:
        own = kind.create(new) if kind.replacement is None else kind.replacement(new, old)
    broken = own
    if broken and new.get("spec") == old.get("spec"):
        # ratcheting: a rule that the old object breaks too, at the same place and value, does not block
        before = {str(e) for e in kind.create(old)}
        broken = [e for e in broken if str(e) not in before]
    return found + broken + kind.update(new, old)


def _finalizers(resource: Resource, obj: Object) -> list[FieldError]:
    """Check the names of finalizers; extension servers, which upstream has for these groups, do not."""
    return [] if resource.group in _EXTENSION_GROUPS else metadata.finalizer_names(obj)


def validate_status_update(resource: Resource, new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with an object whose status is to replace that of `old`."""
    if resource.custom is not None:
        found = metadata.validate_update(new, old)
        return found + resource.custom.validate(new, old, subresource="status")
    kind = kinds.BY_NAME.get(resource.name, _PLAIN)
    found = _changed_metadata(resource, new, old)
    return found + metadata.validate_update(new, old) + kind.status(new, old)


def _changed_metadata(resource: Resource, new: Object, old: Object) -> list[FieldError]:
    """Check the metadata if it is new: with most statuses it is not."""
    meta, before = objects.metadata(new), objects.metadata(old)
    if all(meta.get(key) == before.get(key) for key in _WRITTEN_METADATA):
        return []
    found = metadata.validate(new, resource.namespaced, formats.path_segment, is_update=True)
    return found if resource.name in _STATUS_ALONE else found + _finalizers(resource, new)


def validate_resize(new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a Pod whose containers were resized."""
    return metadata.validate_update(new, old) + resize.validate(new, old)


def validate_ephemeral(resource: Resource, new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a Pod that got ephemeral containers."""
    found = metadata.validate_update(new, old) + pod.validate(new)
    if _MIRROR in (objects.metadata(old).get("annotations") or ()):
        return [field.forbidden("", "static pods do not support ephemeral containers")]
    return found + ephemeral.validate_update(new, old)


def validate_approval(resource: Resource, new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a CertificateSigningRequest that was judged."""
    return metadata.validate_update(new, old) + certificates.validate_approval(new, old)
