"""The volume claims of a StatefulSet's Pods: made from templates, kept or let go by policy. Pure.

Source: pkg/controller/statefulset/stateful_set_utils.go.
"""

from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object


def name_of(statefulset: Object, template: Object, ordinal: int) -> str:
    """Name the claim that an ordinal has of a template."""
    return f"{objects.name(template)}-{objects.name(statefulset)}-{ordinal}"


def templates(statefulset: Object) -> list[Object]:
    """Give the claim templates."""
    return objects.spec(statefulset).get("volumeClaimTemplates") or []


def made(statefulset: Object, ordinal: int) -> list[dict[str, Any]]:
    """Build the claims of an ordinal."""
    labels = (objects.spec(statefulset).get("selector") or {}).get("matchLabels") or {}
    claims: list[dict[str, Any]] = []
    for template in templates(statefulset):
        claim: dict[str, Any] = objects.copy(
            {field: template[field] for field in template if field != "status"}
        )
        meta = claim["metadata"]
        meta["name"] = name_of(statefulset, template, ordinal)
        meta["namespace"] = objects.namespace(statefulset)
        meta["labels"] = {**(meta.get("labels") or {}), **labels}
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
    return claims


def volumes(statefulset: Object, ordinal: int, own: list[Any]) -> list[dict[str, Any]]:
    """Put the claims' volumes before the template's own, in place of those of the same name."""
    claimed = [
        {
            "name": objects.name(template),
            "persistentVolumeClaim": {"claimName": name_of(statefulset, template, ordinal)},
        }
        for template in templates(statefulset)
    ]
    names = {volume["name"] for volume in claimed}
    return [*claimed, *(volume for volume in own if volume["name"] not in names)]


def has_volumes(statefulset: Object, ordinal: int, pod: Object) -> bool:
    """Tell whether a Pod uses its claims."""
    found = {volume["name"]: volume for volume in objects.spec(pod).get("volumes") or ()}
    return all(
        (found.get(objects.name(template), {}).get("persistentVolumeClaim") or {}).get("claimName")
        == name_of(statefulset, template, ordinal)
        for template in templates(statefulset)
    )


def policy(statefulset: Object) -> tuple[bool, bool]:
    """Tell whether claims go when the set is deleted, and when it is scaled down."""
    found = objects.spec(statefulset).get("persistentVolumeClaimRetentionPolicy") or {}
    return found.get("whenDeleted") == "Delete", found.get("whenScaled") == "Delete"


def is_stale(claim: Object, pod: Object) -> bool:
    """Tell whether a claim belongs to an earlier Pod of this name, and so will soon go."""
    return _names_another(claim, pod)


def owners(claim: Object, statefulset: Object, pod: Object, *, is_condemned: bool) -> list[Any] | None:
    """Give the owner references a claim shall have by the retention policy; None if it has them."""
    if _names_another(claim, statefulset) or _names_another(claim, pod):
        return None
    present = list(objects.owner_references(claim))
    ours = {objects.uid(statefulset), objects.uid(pod)}
    others = [each for each in present if each["uid"] not in ours]
    when_deleted, when_scaled = policy(statefulset)
    wanted: list[Object] = []
    if any(each.get("controller") for each in others) and (when_deleted or when_scaled):
        pass  # another manages it: take our references away, if there are any
    elif when_scaled and is_condemned:
        wanted = [objects.controller_reference(pod)]
    elif when_deleted:
        wanted = [objects.controller_reference(statefulset)]
    have = {(each["uid"], bool(each.get("controller"))) for each in present if each["uid"] in ours}
    if have == {(each["uid"], True) for each in wanted}:
        return None
    return [*others, *wanted]


def _names_another(claim: Object, owner: Object) -> bool:
    return any(
        (each["apiVersion"], each["kind"], each["name"])
        == (owner["apiVersion"], owner["kind"], objects.name(owner))
        and each["uid"] != objects.uid(owner)
        for each in objects.owner_references(claim)
    )
