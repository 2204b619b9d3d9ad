"""Pods that are replicas: what was made of a spec as a client sent it, for the next of the same bytes. Pure.

To decode a Pod whose spec came before is to decode its metadata: the spec is found by its bytes, with its
defaults. What is known of specs as they are stored, after admission, is in `known_specs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import orjson

from nanokube.api import defaults, jsonkeys, known_specs, resources, schema
from nanokube.api.known_specs import Known
from nanokube.api.patch import fieldsets
from nanokube.api.patch.fieldsets import FieldSet
from nanokube.api.strategy import gates

KIND: Final = ("", "v1", "Pod")


class Sent:
    """A spec as it was sent. encoded: with its defaults, as JSON; b"" until it was taken without a remark.

    admitted: what admission made of it, by namespace.
    """

    __slots__ = ("_fields", "_tree", "admitted", "encoded")

    def __init__(self) -> None:
        self.encoded = b""
        self.admitted: dict[str, Admitted] = {}
        self._fields: FieldSet | None = None
        self._tree: dict[str, Any] | None = None

    @property
    def tree(self) -> dict[str, Any]:
        """The spec with its defaults, which is nobody's to change."""
        if self._tree is None:
            self._tree = self.copy()
        return self._tree

    def copy(self) -> dict[str, Any]:
        """Decode the spec anew, for who changes it."""
        found: dict[str, Any] = orjson.loads(self.encoded)
        return found

    @property
    def fields(self) -> FieldSet:
        """The set of fields that the spec makes of an object."""
        if self._fields is None:
            empty: dict[str, Any] = {"metadata": {}}
            found = fieldsets.changed(_schema().definition.type, empty, {**empty, "spec": self.tree})
            self._fields = fieldsets.in_order(found)
        return self._fields


class Admitted:
    """A spec as admission made it of one that was sent. known: of it. stamp: of what else it was made."""

    __slots__ = ("_content", "_drawn", "_tree", "known", "stamp")

    def __init__(self, encoded: bytes, known: Known, stamp: object) -> None:
        self.known = known
        self.stamp = stamp
        self._content = known_specs.content(encoded)
        self._tree: dict[str, Any] = orjson.loads(encoded)
        names = [v.get("name") or "" for v in self._tree.get("volumes") or ()]  # nothing is judged yet
        names = [name for name in names if name.startswith(known_specs.PREFIX)]
        self._drawn: str = names[0] if names else ""

    @property
    def has_drawn(self) -> bool:
        """Whether a volume has a name that is drawn for each Pod."""
        return bool(self._drawn)

    def replica(self, name: str) -> tuple[dict[str, Any], bytes]:
        """Give the spec, with a volume of that name, as a tree that is nobody's to change, and as JSON."""
        if not self._drawn:
            return self._tree, self._content
        return _renamed(self._tree, self._drawn, name), known_specs.named(self._content, name)

    @property
    def is_whole(self) -> bool:
        """Whether both forms of a replica are the same, and no field has a gate that is off."""
        tree, encoded = self.replica(f"{known_specs.PREFIX}00000")
        own = orjson.loads(encoded)
        gates.drop("pods", {"spec": own})
        return orjson.dumps(tree) == encoded == orjson.dumps(own)


def keep(sent: Sent, namespace: str, spec: Mapping[str, Any], stamp: object) -> None:
    """Keep what admission made of a spec in a namespace, if it can be told what is drawn in it."""
    if known_specs.PREFIX.encode() in sent.encoded:
        return
    known, encoded = known_specs.look(spec)
    found = Admitted(encoded, known, stamp)
    if found.is_whole:
        if len(sent.admitted) >= _MOST_NAMESPACES:
            sent.admitted.clear()
        sent.admitted[namespace] = found


def _renamed(spec: Mapping[str, Any], old: str, name: str) -> dict[str, Any]:
    """Copy a spec along the ways to a volume's name, and change that."""
    found = {**spec, "volumes": _named(spec["volumes"], old, name)}
    for key in ("initContainers", "containers"):
        if spec.get(key):
            found[key] = [
                {**each, "volumeMounts": _named(each["volumeMounts"], old, name)}
                if each.get("volumeMounts")
                else each
                for each in spec[key]
            ]
    return found


def _named(items: Sequence[Mapping[str, Any]], old: str, name: str) -> list[Mapping[str, Any]]:
    return [{**item, "name": name} if item.get("name") == old else item for item in items]


_PODS: Final = resources.get("pods")
_MOST_NAMESPACES: Final = 4
_sent: Final = known_specs.Memory(Sent, 256)


def decode(body: bytes, field_validation: str) -> tuple[dict[str, Any], list[str], Sent | None]:
    """Parse a Pod as `Schema.decode` does; and say what is kept of its spec, which then has its defaults.

    The tree of a spec that came before is `Sent.tree`, nobody's to change. Raises ApiError (400).
    """
    try:
        around = _around().decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):  # to be told by who decodes all of it
        return *_schema().decode(body, field_validation), None
    sent = _sent.find(bytes(around.spec))
    if not sent.encoded:
        obj, problems = _schema().decode(body, field_validation)
        if problems or field_validation == schema.IGNORE or not obj.get("spec"):
            return obj, problems, None  # remarks are not made under Ignore
        filled = {"metadata": {}, "spec": obj["spec"]}
        defaults.apply(_PODS, filled)
        sent.encoded = orjson.dumps(filled["spec"])
        return obj, problems, sent
    obj = msgspec.to_builtins(around, enc_hook=str)
    obj["spec"] = sent.tree
    if field_validation == schema.IGNORE or len(_encode(around)) == len(body.rstrip()):
        return obj, [], sent
    twice = [f'duplicate field "{path}"' for path in jsonkeys.duplicates(body)]
    return obj, schema.report(twice, field_validation), sent


@cache
def _schema() -> schema.Schema:
    found = schema.get(*KIND)
    assert found is not None
    return found


@cache
def _around() -> msgspec.json.Decoder[Any]:
    return _schema().around("spec")


_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
