"""ControllerRevisions: the Pod templates a DaemonSet or StatefulSet had, numbered.

A template is stored once; one that comes back (a rollback) gets the highest number anew.
Source: pkg/controller/history/controller_history.go, daemon/update.go, statefulset/stateful_set_utils.go.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any

from nanokube.api import errors, objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client import runner, store
from nanokube.controllers import claims, revisions
from nanokube.controllers.env import Env

REVISIONS = resources.get("controllerrevisions.apps")
HASH_LABEL = "controller-revision-hash"
LONGEST_PREFIX = 223  # controller_history.go: ControllerRevisionName
COLLISIONS = 10


def data_of(owner: Object) -> dict[str, Any]:
    """Build what a revision keeps: a patch that puts the present template in place of any other.

    Keys are in order, as Go writes maps: upstream's tools compare the bytes with those of the owner.
    """
    found: dict[str, Any] = _ordered(
        {"spec": {"template": {**objects.spec(owner)["template"], "$patch": "replace"}}}
    )
    return found


def template_of(revision: Object) -> dict[str, Any]:
    """Give the Pod template a revision keeps."""
    template = dict(((revision.get("data") or {}).get("spec") or {}).get("template") or {})
    template.pop("$patch", None)
    return template


def by_number(revision: Object) -> tuple[int, str, str]:
    """Sort key: lowest number first, oldest first among equals."""
    return number(revision), *revisions.by_age(revision)


def number(revision: Object) -> int:
    """Give a revision's number."""
    return int(revision.get("revision") or 0)


def hash_of(revision: Object) -> str:
    """Give the hash a revision's Pods carry as a label."""
    return objects.labels(revision).get(HASH_LABEL, "")


def matching(owner: Object, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the revisions of the owner's present template."""
    wanted = _plain(objects.spec(owner)["template"])
    return [revision for revision in found if _plain(template_of(revision)) == wanted]


def made(owner: Object, revision_number: int, collisions: int) -> dict[str, Any]:
    """Build the revision of the owner's present template."""
    template = objects.spec(owner)["template"]
    hashed = revisions.template_hash(template, collisions)
    return {
        "apiVersion": REVISIONS.api_version,
        "kind": REVISIONS.kind,
        "metadata": {
            "name": f"{objects.name(owner)[:LONGEST_PREFIX]}-{hashed}",
            "namespace": objects.namespace(owner),
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hashed},
            "annotations": dict(objects.annotations(owner)),
            "ownerReferences": [objects.controller_reference(owner)],
        },
        "data": data_of(owner),
        "revision": revision_number,
    }


def surplus(found: Sequence[dict[str, Any]], live: Container[str], limit: int) -> list[dict[str, Any]]:
    """Choose the lowest revisions beyond limit. live: names in use, which neither count nor go. Pure."""
    spare = sorted((each for each in found if objects.name(each) not in live), key=by_number)
    return spare[: max(0, len(spare) - limit)]


class History:
    """The revisions of the objects of one kind, as cached and as written."""

    def __init__(self, env: Env, run: runner.Runner, resource: resources.Resource) -> None:
        self._env = env
        self._resource = resource
        self._revisions = env.informers.of(REVISIONS)
        self._revisions.add_index("controller", store.by_controller)
        # Read, not watched, as upstream: who edits revisions by hand is left alone until the owner changes.
        run.reads(self._revisions)

    async def claim(self, owner: Object) -> list[dict[str, Any]]:
        """Adopt matching orphans; give the owner's revisions, lowest number first."""
        selector = selectors.from_object(objects.spec(owner).get("selector"))
        namespace = objects.namespace(owner)
        orphans = [
            each
            for each in self._revisions.by_index("controller", "")
            if objects.namespace(each) == namespace
        ]
        candidates = [*self._revisions.by_index("controller", objects.uid(owner)), *orphans]
        claim = claims.decide(owner, selector, candidates)
        owned = await claims.settle(self._env.client, owner, self._resource, REVISIONS, claim)
        return sorted(owned, key=by_number)

    async def current(self, owner: Object, found: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], int]:
        """Give the revision of the present template, made or renumbered if need be, and the collision count.

        found: all revisions of the owner, lowest number first. Raises ApiError, OSError.
        """
        collisions = int(objects.status(owner).get("collisionCount") or 0)
        same = matching(owner, found)
        others = [number(each) for each in found if all(each is not one for one in same)]
        wanted = max(others, default=0) + 1
        if not same:
            return await self._create(owner, wanted, collisions)
        newest = same[-1]
        if number(newest) < wanted:
            newest = await self._env.client.update(REVISIONS, {**newest, "revision": wanted})
        return newest, collisions

    async def delete(self, revision: Object) -> None:
        """Drop a revision, if it is still there."""
        try:
            await self._env.client.delete(REVISIONS, objects.name(revision), objects.namespace(revision))
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise

    async def _create(
        self, owner: Object, revision_number: int, collisions: int
    ) -> tuple[dict[str, Any], int]:
        for attempt in range(collisions, collisions + COLLISIONS):
            body = made(owner, revision_number, attempt)
            try:
                return await self._env.client.create(REVISIONS, body), attempt
            except errors.ApiError as err:
                if not errors.is_already_exists(err):
                    raise
            # Our own, which the cache does not show yet; or another template with the same hash.
            there = await self._env.client.get(REVISIONS, objects.name(body), objects.namespace(owner))
            if matching(owner, [there]) and objects.is_controlled_by(there, owner):
                return there, attempt
        raise errors.already_exists(REVISIONS, objects.name(owner))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    return value


def _plain(value: Any) -> Any:
    """Drop nulls: a template is the same with and without "creationTimestamp: null"."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
