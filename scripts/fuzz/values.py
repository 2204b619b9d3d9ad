"""Values that a schema of our OpenAPI allows, values next to those, and values that nobody expects. Pure.

Everything is drawn from one random.Random, so that a seed repeats a run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

NAMES: Final = ("a", "b", "web", "web-1", "n", "default", "s")
_PLAIN: Final = (
    *NAMES,
    "Always", "Never", "OnFailure", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "None", "TCP",
    "UDP",
    "Exists", "In", "Equal", "NoSchedule", "NoExecute", "ReadWriteOnce", "ReadWriteMany", "Retain", "Delete",
    "RollingUpdate", "Recreate", "OnDelete", "Block", "Filesystem", "Foreground", "Background", "Orphan",
    "True",
    "False", "Unknown", "Ready", "v1", "apps/v1", "Deployment", "Node", "Pod", "10.96.0.9", "192.0.2.3",
    "fd00::1",
    "10.0.0.0/8", "1Gi", "100m", "1", "0", "-1", "50%", "101%", "1e3", "80", "http", "example.com/x",
    "x.example.com",
    "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z", "5s", "*/5 * * * *", "@daily", "Europe/Berlin",
    "/tmp/x",
    "busybox:1", "dg==", "system:masters", "kubernetes.io/hostname", "metadata.name", "spec.nodeName",
    "30080",
)  # fmt: skip
_ODD: Final = (
    "", " ", ".", "..", "../../etc", "a" * 64, "a" * 300, "A_b", "-a", "a.", "\u0000", "\n", "é",
    "\U0001f600",
    "\u202e", "%00", "%2F", "{}", "[]", "null", "$(A)", "${jndi:x}", "9" * 40, "1e999", "1E9Ei", "0x10",
    "+1", "NaN",
    "::", "999.1.1.1", "1.2.3.4/99", "9999-99-99T99:99:99Z", "0000-00-00T00:00:00Z", "* * * * * *",
    "60 24 32 13 8",
    "0001-01-01T00:00:00Z", "31 2 30 2 *", "-5s", "1h1", "a/b/c", "/", "//", ",", "=", "a=b,c in (d",
    "\ufffd",
)  # fmt: skip
_INTEGERS: Final = (0, 1, 2, 3, 80, 443, 30080, 1000, 65535)
_ODD_INTEGERS: Final = (
    -1,
    65536,
    -(2**31),
    2**31 - 1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**63,
    2**64,
    10**40,
)
_ANYTHING: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e300,
    "",
    "x",
    [],
    {},
    [None],
    {"": None},
    [[[]]],
    {"a": {"a": []}},
)
_DEPTH: Final = 6


class Values:
    """Draws values. schemas: `components.schemas` of an OpenAPI v3 document."""

    def __init__(self, rng: random.Random, schemas: Mapping[str, Schema]) -> None:
        self._rng = rng
        self._schemas = schemas

    def of(self, schema: Schema, depth: int = 0) -> Any:
        """Draw a value for a schema; one in thirty has nothing to do with it."""
        if self._rng.random() < 0.03:
            return self.anything()
        found = self.resolve(schema)
        if "enum" in found and self._rng.random() < 0.8:
            return self._rng.choice(found["enum"])
        match found.get("type"):
            case "object":
                return self._object(found, depth)
            case "array":
                count = 0 if depth > _DEPTH else self._rng.choice((0, 1, 1, 2, 3))
                return [self.of(found.get("items", {}), depth + 1) for _ in range(count)]
            case "string":
                return self.text()
            case "integer":
                return self.integer()
            case "number":
                return self._rng.choice((0, 1.5, -1, 1e300, self.integer()))
            case "boolean":
                return self._rng.random() < 0.5
        if "oneOf" in found:
            return self.of(self._rng.choice(found["oneOf"]), depth)
        return self.anything() if self._rng.random() < 0.5 else self.text()

    def resolve(self, schema: Schema) -> Schema:
        """Follow references and single allOf."""
        while True:
            if "$ref" in schema:
                schema = self._schemas.get(schema["$ref"].rpartition("/")[2], {})
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            else:
                return schema

    def text(self) -> str:
        """Draw a string."""
        kind = self._rng.random()
        if kind < 0.8:
            return self._rng.choice(_PLAIN)
        if kind < 0.97:
            return self._rng.choice(_ODD)
        return "".join(
            chr(self._rng.choice((0, 9, 34, 47, 92, 97, 255, 0x2028, 0xFFFF, 0x1F600))) for _ in range(5)
        )

    def integer(self) -> int:
        """Draw an integer, one in eight beyond what fits."""
        return self._rng.choice(_INTEGERS if self._rng.random() < 0.87 else _ODD_INTEGERS)

    def anything(self) -> Any:
        """Draw any JSON value."""
        return self._rng.choice((*_ANYTHING, self.text(), self.integer()))

    def _object(self, schema: Schema, depth: int) -> Any:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        if not properties:
            inner = schema.get("additionalProperties", {})
            count = 0 if depth > _DEPTH else self._rng.choice((0, 1, 2))
            return {self.text(): self.of(inner, depth + 1) for _ in range(count)}
        wanted = [key for key in schema.get("required", ()) if self._rng.random() < 0.95]
        if depth <= _DEPTH:
            wanted += self._rng.sample(list(properties), min(len(properties), self._rng.choice((0, 1, 2, 3))))
        return {key: self.of(properties.get(key, {}), depth + 1) for key in wanted}

    def mutate(self, value: Any, schema: Schema) -> Any:
        """Return a copy in which one place is replaced, added, taken away or repeated."""
        found = self.resolve(schema)
        if isinstance(value, dict) and value and self._rng.random() < 0.85:
            return self._mutate_object(value, found)
        if isinstance(value, list) and value and self._rng.random() < 0.85:
            at = self._rng.randrange(len(value))
            copy = list(value)
            if self._rng.random() < 0.15:
                copy.insert(at, copy[at])
            elif self._rng.random() < 0.1:
                del copy[at]
            else:
                copy[at] = self.mutate(copy[at], found.get("items", {}))
            return copy
        return self.of(schema)

    def _mutate_object(self, value: dict[str, Any], schema: Schema) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        copy = dict(value)
        kind = self._rng.random()
        if kind < 0.2 and properties:
            key = self._rng.choice(list(properties))
            copy[key] = self.of(properties[key], 2)
        elif kind < 0.26:
            del copy[self._rng.choice(list(copy))]
        elif kind < 0.29:
            copy[self.text()] = self.anything()
        else:
            key = self._rng.choice(list(copy))
            inner = properties.get(key, schema.get("additionalProperties", {}))
            copy[key] = self.mutate(copy[key], inner if isinstance(inner, dict) else {})
        return copy
