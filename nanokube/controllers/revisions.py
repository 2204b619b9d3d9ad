"""The ReplicaSets of a Deployment as its revisions: which is new, what they are numbered and named. Pure.

Source: pkg/controller/deployment/util/deployment_util.go, sync.go.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from nanokube.api import objects
from nanokube.api.objects import Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ROLLBACK = "deprecated.deployment.rollback.to"
NOT_COPIED = {REVISION, HISTORY, DESIRED, MAX, LAST_APPLIED, ROLLBACK}
HISTORY_LENGTH = 2000  # characters: sync.go, maxRevHistoryLengthInChars
# No vowels, no 0, 1, 3: a hash spells no word and no two of its letters look alike (util/rand/rand.go).
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
HASH_LENGTH = 10
LONGEST_NAME = 253


def template_hash(template: Object, collisions: int) -> str:
    """Name a pod template by its content; collisions chooses another name for the same content.

    The same template always gives the same ten characters, each safe in a label and in a name.
    """
    content = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    number = int.from_bytes(hashlib.sha256(content + b"/%d" % collisions).digest()[:8])
    letters = []
    for _ in range(HASH_LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def find_new(deployment: Object, replicasets: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Give the oldest ReplicaSet whose template is the Deployment's, the hash label apart."""
    wanted = without_hash(deployment["spec"]["template"])
    found = (rs for rs in replicasets if without_hash(rs["spec"]["template"]) == wanted)
    return min(found, key=by_age, default=None)


def without_hash(template: Object) -> dict[str, Any]:
    """Give a template without the hash label and without nulls, for comparison."""
    copied: dict[str, Any] = dict(template)
    meta = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    labels = {name: value for name, value in (meta.get("labels") or {}).items() if name != HASH_LABEL}
    meta["labels"] = labels
    copied["metadata"] = meta
    return copied


def by_age(obj: Object) -> tuple[str, str]:
    """Sort key: oldest first."""
    return objects.creation_timestamp(obj), objects.name(obj)


def revision_of(obj: Object) -> int:
    """Read the revision annotation; 0 when absent or no number."""
    text = objects.annotations(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def next_revision(old: Iterable[Object]) -> int:
    """Give the number that a newer ReplicaSet than these must have."""
    return max((revision_of(rs) for rs in old), default=0) + 1


def annotations_for(
    deployment: Object, replicaset: Object, revision: int, desired: int, most: int
) -> dict[str, str]:
    """Give the annotations the new ReplicaSet shall have: the Deployment's, its numbers, its history."""
    found = dict(objects.annotations(replicaset))
    copied = {k: v for k, v in objects.annotations(deployment).items() if k not in NOT_COPIED}
    before = revision_of(replicaset)
    if before < revision:
        found[REVISION] = str(revision)
        if before:
            # A revision that returns (rollback) keeps the numbers it had.
            history = [old for old in found.get(HISTORY, "").split(",") if old]
            found[HISTORY] = _within(HISTORY_LENGTH, [*history, str(before)])
    return {**found, **copied, **size_annotations(desired, most)}


def size_annotations(desired: int, most: int) -> dict[str, str]:
    """Give the annotations by which a later change of spec.replicas is recognized."""
    return {DESIRED: str(desired), MAX: str(most)}


def new_replicaset(deployment: Object, old: Sequence[Object], replicas: int, most: int) -> dict[str, Any]:
    """Build the ReplicaSet of the Deployment's present template."""
    spec = deployment["spec"]
    collisions = int(objects.status(deployment).get("collisionCount") or 0)
    hashed = template_hash(spec["template"], collisions)
    template = objects.copy(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hashed}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = objects.copy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
    made: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{objects.name(deployment)[: LONGEST_NAME - HASH_LENGTH - 1]}-{hashed}",
            "namespace": objects.namespace(deployment),
            "labels": labels,
            "ownerReferences": [objects.controller_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    made["metadata"]["annotations"] = annotations_for(
        deployment, made, next_revision(old), int(spec["replicas"]), most
    )
    return made


def _within(length: int, numbers: list[str]) -> str:
    while len(",".join(numbers)) > length:
        numbers = numbers[1:]
    return ",".join(numbers)
