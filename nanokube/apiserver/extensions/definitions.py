"""CustomResourceDefinitions as objects: names, conditions, the end. Pure.

Source: staging apiextensions-apiserver pkg/controller/{status,apiapproval,finalizer,nonstructuralschema},
pkg/apihelpers, pkg/registry/customresourcedefinition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nanokube.api import objects
from nanokube.api.custom import definition

NAME: Final = "customresourcedefinitions.apiextensions.k8s.io"
FINALIZER: Final = "customresourcecleanup.apiextensions.k8s.io"

ESTABLISHED: Final = "Established"
NAMES_ACCEPTED: Final = "NamesAccepted"
TERMINATING: Final = "Terminating"
_CONFORMANT: Final = "KubernetesAPIApprovalPolicyConformant"
_NON_STRUCTURAL: Final = "NonStructuralSchema"
_APPROVALS: Final = {
    "missing": ("False", "MissingAnnotation"),
    "bypassed": ("False", "UnapprovedAnnotation"),
    "approved": ("True", "ApprovedAnnotation"),
    "invalid": ("False", "InvalidAnnotation"),
}

Condition = tuple[str, str, str, str]  # type, status, reason, message


def is_true(crd: Mapping[str, Any], type_: str) -> bool:
    """Tell whether a definition has a condition that is True."""
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == type_ and c.get("status") == "True" for c in conditions)


def set_condition(crd: dict[str, Any], condition: Condition, now: str) -> None:
    """Set a condition of the status, in place; its time changes with its status."""
    type_, status, reason, message = condition
    state = crd.setdefault("status", {})
    conditions = state["conditions"] = state.get("conditions") or []
    found = next((c for c in conditions if c.get("type") == type_), None)
    if found is None:
        found = {"type": type_, "lastTransitionTime": now}
        conditions.append(found)
    elif found.get("status") != status:
        found["lastTransitionTime"] = now
    found.update(status=status, reason=reason, message=message)


def begin_deletion(crd: dict[str, Any], now: str) -> None:
    """Hold a definition that is to be deleted until its objects are gone, in place."""
    if objects.is_deleting(crd):
        return
    finalizers = crd["metadata"].setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    set_condition(crd, (TERMINATING, "True", "InstanceDeletionPending", message), now)


def settle(crd: dict[str, Any], others: Iterable[Mapping[str, Any]], now: str) -> None:
    """Accept names and set the conditions, in place. others: the names of the group's other definitions."""
    _name(crd, others, now)
    _structure(crd, now)
    approval = _approval(crd)
    if approval is not None:
        set_condition(crd, approval, now)
    if is_true(crd, NAMES_ACCEPTED) and not is_true(crd, ESTABLISHED):
        message = "the initial names have been accepted"
        set_condition(crd, (ESTABLISHED, "True", "InitialNamesAccepted", message), now)


def _name(crd: dict[str, Any], others: Iterable[Mapping[str, Any]], now: str) -> None:
    status = crd.setdefault("status", {})
    wanted, accepted = crd["spec"]["names"], status.get("acceptedNames") or {}
    if wanted == accepted and any(c.get("type") == NAMES_ACCEPTED for c in status.get("conditions") or ()):
        return
    names, kinds = _taken(others)
    found, problem = dict(accepted), None
    for key, taken in (
        ("plural", names),
        ("singular", names),
        ("shortNames", names),
        ("kind", kinds),
        ("listKind", kinds),
    ):
        clashes = _clashes(wanted.get(key), accepted.get(key), taken)
        if clashes:
            text = clashes[0] if len(clashes) == 1 else f"[{', '.join(clashes)}]"
            problem = (NAMES_ACCEPTED, "False", f"{key[0].upper()}{key[1:]}Conflict", text)
        else:
            found[key] = wanted.get(key)
    found["categories"] = wanted.get("categories")
    status["acceptedNames"] = {key: value for key, value in found.items() if value}
    for key in ("kind", "plural"):
        status["acceptedNames"].setdefault(key, "")
    set_condition(crd, problem or (NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found"), now)
    if problem is not None and not is_true(crd, ESTABLISHED):
        set_condition(crd, (ESTABLISHED, "False", "NotAccepted", "not all names are accepted"), now)


def _taken(others: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    names, kinds = set[str](), set[str]()
    for other in others:
        names |= {other.get("plural", ""), other.get("singular", ""), *(other.get("shortNames") or ())}
        kinds |= {other.get("kind", ""), other.get("listKind", "")}
    return names - {""}, kinds - {""}


def _clashes(wanted: Any, accepted: Any, taken: set[str]) -> list[str]:
    if wanted == accepted:
        return []
    asked = wanted if isinstance(wanted, list) else [wanted or ""]
    mine = set(accepted or ()) if isinstance(wanted, list) else {accepted}
    return [f'"{name}" is already in use' for name in asked if name in taken and name not in mine]


def _approval(crd: Mapping[str, Any]) -> Condition | None:
    if not definition.is_protected(crd["spec"]["group"]):
        return None
    state, reason = definition.approval(crd)
    return (_CONFORMANT, *_APPROVALS[state], reason)


def _structure(crd: dict[str, Any], now: str) -> None:
    """Say that schemas are not structural, as they may be in definitions that are older than the rule."""
    if is_true(crd, ESTABLISHED) and not is_true(crd, _NON_STRUCTURAL):
        return  # nothing makes it so: look once
    problem = definition.structural_problem(crd)
    if problem:
        set_condition(crd, (_NON_STRUCTURAL, "True", "Violations", problem), now)
        return
    conditions = crd["status"].get("conditions") or ()
    crd["status"]["conditions"] = [c for c in conditions if c.get("type") != _NON_STRUCTURAL]
