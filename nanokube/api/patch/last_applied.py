"""The annotation of client-side apply, while kubectl moves an object to server-side apply. Pure.

Source: apimachinery pkg/util/managedfields/internal/{lastapplied,lastappliedmanager,lastappliedupdater}.go.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from nanokube.api import facts, objects
from nanokube.api.objects import Object
from nanokube.api.patch import fieldsets, managed
from nanokube.api.patch.fieldsets import FieldSet

ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER: Final = "kubectl"  # only this manager keeps the annotation up
_LIMIT_BYTES: Final = 256 * 1024  # of all annotations of an object together


def unchanged(type_: facts.Type, live: Object) -> FieldSet:
    """Return the fields that client-side apply set and nobody changed since: their conflicts are forced."""
    text = (objects.metadata(live).get("annotations") or {}).get(ANNOTATION)
    if not text:
        return {}
    try:
        config = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if type(config) is not dict:
        return {}
    applied = managed.manageable(config, "", type_.struct)
    differing = fieldsets.changed(type_, managed.manageable(live, "", type_.struct), applied)
    return fieldsets.subtract(fieldsets.of(type_, applied), differing)


def refresh(found: dict[str, Any], config: Object) -> None:
    """Write an applied configuration into the annotation, in place, if the object has one."""
    annotations = dict(objects.metadata(found).get("annotations") or {})
    if ANNOTATION not in annotations:
        return
    metadata = dict(objects.metadata(config))
    own = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != ANNOTATION}
    metadata["annotations"] = own
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    if sum(len(k) + len(v) for k, v in annotations.items()) + len(text) > _LIMIT_BYTES:
        text = ""
    found["metadata"] = {**found["metadata"], "annotations": {**annotations, ANNOTATION: text}}
