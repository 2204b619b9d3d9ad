"""Validation of Pods and of what may change in one. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, known_specs, objects
from nanokube.api.field import FieldError
from nanokube.api.known_specs import Known
from nanokube.api.objects import Object
from nanokube.api.validation import containers, differences, pod_annotations, pod_spec, volumes

_MUTABLE: Final = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_LISTS: Final = ("containers", "initContainers")


def validate(obj: Object, known: Known | None = None) -> list[FieldError]:
    """Check a Pod. known: of its spec, if the caller has looked."""
    spec = objects.spec(obj)
    known = known or known_specs.find(spec)
    found = pod_annotations.validate(objects.annotations(obj), spec, "metadata.annotations")
    wrong, last = ([], []) if known.is_valid_pod else (pod_spec.validate_pod(spec, "spec"), _last(spec))
    known.is_valid_pod = not wrong and not last
    found += wrong
    if objects.name(obj):
        found += volumes.validate_claims(spec.get("volumes") or (), "spec.volumes", objects.name(obj))
    return found + last


def _last(spec: Object) -> list[FieldError]:
    """Check what upstream checks of a Pod's spec after the rest."""
    found = _tokens(spec) if not spec.get("serviceAccountName") else []
    for kind in _LISTS:
        for index, container in enumerate(spec.get(kind) or ()):
            found += containers.image_spaces(container, f"spec.{kind}[{index}]")
    return found


def validate_new(obj: Object) -> list[FieldError]:
    """Check what a Pod may not have from the start."""
    spec, found = objects.spec(obj), list[FieldError]()
    if spec.get("ephemeralContainers"):
        found.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        found.append(field.forbidden("spec.nodeName", detail))
    return found + pod_annotations.agree(objects.annotations(obj), spec, "spec")


def _tokens(spec: Object) -> list[FieldError]:
    detail = "must not be specified when serviceAccountName is not set"
    return [
        field.forbidden(f"spec.volumes[{v}].projected.sources[{s}].serviceAccountToken", detail)
        for v, volume in enumerate(spec.get("volumes") or ())
        for s, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that only the few mutable fields of a Pod changed."""
    spec, before = objects.spec(new), objects.spec(old)
    found = [
        field.forbidden(f"spec.{key}", "pod updates may not add or remove containers")
        for key in _LISTS
        if len(spec.get(key) or ()) != len(before.get(key) or ())
    ]
    if found:
        return found[:1]
    found = _deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    kept = [_identity(t) for t in spec.get("tolerations") or ()]
    if any(_identity(t) not in kept for t in before.get("tolerations") or ()):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        found.append(field.forbidden("spec.tolerations", detail))
    found += _gates(spec, before)
    if before.get("schedulingGates"):
        found += _scheduling(spec, before)
    wanted, frozen = _frozen(spec, before), _frozen(before, before)
    if wanted != frozen:
        listed = ",".join(_MUTABLE)
        shown = differences.show(_in_order(frozen), _in_order(wanted))
        detail = f"pod updates may not change fields other than {listed}\n{shown}"
        found.append(field.forbidden("spec", detail))
    return found


def _deadline(seconds: int | None, was: int | None) -> list[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if seconds is None and was is not None:
        return [field.invalid(path, None, "must not update from a positive integer to nil value")]
    if seconds is not None and was is not None and seconds > was:
        return [field.invalid(path, seconds, "must be less than or equal to previous value")]
    return []


def _gates(spec: Object, before: Object) -> list[FieldError]:
    known = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    return [
        field.forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(spec.get("schedulingGates") or ())
        if gate.get("name") not in known
    ]


def _scheduling(spec: Object, before: Object) -> list[FieldError]:
    """A gated Pod's choice of nodes may only become narrower."""
    found, wanted = list[FieldError](), spec.get("nodeSelector") or {}
    if not (before.get("nodeSelector") or {}).items() <= wanted.items():
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        found.append(field.invalid("spec.nodeSelector", wanted, detail))
    terms, old_terms = _required_terms(spec), _required_terms(before)
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if old_terms and len(terms) != len(old_terms):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [*found, field.invalid(path, terms, detail)]
    for index, (term, old_term) in enumerate(zip(terms, old_terms, strict=False)):
        if not _only_adds(term, old_term):
            detail = "only additions are allowed (no mutations or deletions)"
            found.append(field.invalid(f"{path}[{index}]", term, detail))
    return found


def _required_terms(spec: Object) -> list[Any]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return list(required.get("nodeSelectorTerms") or ())


def _only_adds(term: Object, old_term: Object) -> bool:
    keys = ("matchExpressions", "matchFields")
    if not any(old_term.get(key) for key in keys):
        return not any(term.get(key) for key in keys)
    return all((term.get(k) or [])[: len(old_term.get(k) or ())] == (old_term.get(k) or []) for k in keys)


def _identity(toleration: Object) -> dict[str, Any]:
    return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}


def _frozen(spec: Object, before: Object) -> dict[str, Any]:
    """Return the spec with the mutable parts as they were; gates free the choice of nodes while there."""
    mutable = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    seconds, was = spec.get("terminationGracePeriodSeconds"), before.get("terminationGracePeriodSeconds") or 0
    if was < 0 and seconds == 1:
        mutable.append("terminationGracePeriodSeconds")
    if before.get("schedulingGates"):
        mutable.append("nodeSelector")
    found = {k: v for k, v in spec.items() if v not in ("", [], None)}
    found.update((key, before[key]) for key in mutable if key in before)
    for key in mutable:
        if key not in before:
            found.pop(key, None)
    if before.get("schedulingGates"):
        affinity = {k: v for k, v in (found.pop("affinity", None) or {}).items() if k != "nodeAffinity"}
        if affinity:
            found["affinity"] = affinity
    for key in _LISTS:
        if key in found:
            pairs = zip(found[key], before.get(key) or (), strict=False)
            found[key] = [{**new, "image": old.get("image")} for new, old in pairs]
    return found


def _in_order(tree: Any) -> Any:
    """Sort the keys of objects, which writers order differently."""
    if isinstance(tree, dict):
        return {key: _in_order(tree[key]) for key in sorted(tree)}
    return [_in_order(item) for item in tree] if isinstance(tree, list) else tree
