"""Pods that are replicas: what was made of a spec as a client sent it, for the next of the same bytes. Pure.

To decode a Pod whose spec came before is to decode its metadata: the spec is found by its bytes, with its
defaults. What is known of specs as they are stored, after admission, is in `known_specs.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
import orjson

from nanokube.api import defaults, jsonkeys, known_specs, resources, schema
from nanokube.api.patch import fieldsets
from nanokube.api.patch.fieldsets import FieldSet

KIND: Final = ("", "v1", "Pod")


class Sent:
    """A spec as it was sent. tree: with its defaults, as JSON; b"" until it was taken without a remark."""

    __slots__ = ("_fields", "tree")

    def __init__(self) -> None:
        self.tree = b""
        self._fields: FieldSet | None = None

    def fields(self, spec: Any) -> FieldSet:
        """Return the set of fields that the spec with its defaults, which is given, makes of an object."""
        if self._fields is None:
            empty: dict[str, Any] = {"metadata": {}}
            found = fieldsets.changed(_schema().definition.type, empty, {**empty, "spec": spec})
            self._fields = fieldsets.in_order(found)
        return self._fields


_PODS: Final = resources.get("pods")
_sent: Final = known_specs.Memory(Sent)


def decode(body: bytes, field_validation: str) -> tuple[dict[str, Any], list[str], Sent | None]:
    """Parse a Pod as `Schema.decode` does; and say what is kept of its spec, which then has its defaults.

    Raises ApiError (400).
    """
    try:
        around = _around().decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):  # to be told by who decodes all of it
        return *_schema().decode(body, field_validation), None
    sent = _sent.find(bytes(around.spec))
    if not sent.tree:
        obj, problems = _schema().decode(body, field_validation)
        if problems or field_validation == schema.IGNORE or not obj.get("spec"):
            return obj, problems, None  # remarks are not made under Ignore
        filled = {"metadata": {}, "spec": obj["spec"]}
        defaults.apply(_PODS, filled)
        sent.tree = orjson.dumps(filled["spec"])
        return obj, problems, sent
    obj = msgspec.to_builtins(around, enc_hook=str)
    obj["spec"] = orjson.loads(sent.tree)
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
