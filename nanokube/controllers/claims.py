"""Which objects belong to an owner: adopt matching orphans, release what no longer matches.

Source: pkg/controller/controller_ref_manager.go.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from nanokube.api import errors, objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client.interface import ApiClient, PatchKind


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """The decision: what is owned already, what to adopt, what to release."""

    owned: list[dict[str, Any]]
    adopt: list[dict[str, Any]]
    release: list[dict[str, Any]]


def decide(owner: Object, selector: selectors.LabelSelector, candidates: Iterable[dict[str, Any]]) -> Claim:
    """Sort candidates of the owner's namespace. A deleting owner adopts and releases nothing. Pure."""
    claim = Claim([], [], [])
    passive = objects.is_deleting(owner)
    for obj in candidates:
        reference = objects.controller_of(obj)
        matches = selector.matches(objects.labels(obj))
        if reference is not None and reference["uid"] == objects.uid(owner):
            if matches:
                claim.owned.append(obj)
            elif not passive:
                claim.release.append(obj)
        elif reference is None and matches and not passive and not objects.is_deleting(obj):
            claim.adopt.append(obj)
    return claim


async def settle(
    client: ApiClient,
    owner: Object,
    owner_resource: resources.Resource,
    resource: resources.Resource,
    claim: Claim,
    *,
    finalizers: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Carry a claim out; give everything owned then.

    Before it adopts it reads the owner afresh: one that was deleted and made anew must not adopt through a
    stale cache. finalizers: added to what is adopted, removed from what is released.
    Raises ApiError, OSError.
    """
    owned = list(claim.owned)
    if claim.adopt:
        fresh = await client.get(owner_resource, objects.name(owner), objects.namespace(owner))
        if objects.uid(fresh) != objects.uid(owner) or objects.is_deleting(fresh):
            raise errors.conflict(owner_resource, objects.name(owner), "the owner is gone or being deleted")
    for obj in claim.adopt:
        more = {"finalizers": list(finalizers)} if finalizers else {}
        if adopted := await _patch(client, resource, obj, objects.controller_reference(owner), more):
            owned.append(adopted)
    for obj in claim.release:
        more = {"$deleteFromPrimitiveList/finalizers": list(finalizers)} if finalizers else {}
        await _patch(client, resource, obj, {"$patch": "delete", "uid": objects.uid(owner)}, more)
    return owned


async def _patch(
    client: ApiClient,
    resource: resources.Resource,
    obj: Object,
    reference: dict[str, Any],
    more: dict[str, Any],
) -> dict[str, Any] | None:
    body = {"metadata": {"uid": objects.uid(obj), "ownerReferences": [reference], **more}}
    try:
        return await client.patch(
            resource, objects.name(obj), body, objects.namespace(obj), kind=PatchKind.STRATEGIC
        )
    except errors.ApiError as err:
        # 404: gone meanwhile. 422: the server says that it is another object, or already so.
        if err.code in (404, 422):
            return None
        raise
