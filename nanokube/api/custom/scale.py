"""The scale subresource of a custom kind: Scale from and to the paths its definition names. Pure.

Source: apiextensions-apiserver/pkg/registry/customresource/{etcd,validator}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import errors, field, objects
from nanokube.api.custom import checks
from nanokube.api.field import FieldError
from nanokube.api.objects import Object

_KEPT: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_GO_TYPES: Final = {str: "string", bool: "bool", float: "float64", list: "[]interface {}", int: "int64"}
_MAX: Final = (1 << 31) - 1


class _WrongType(ValueError):
    """A value on the way that is not what the path demands."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where replicas and the label selector are, as dotted paths; selector: "" if there is none."""

    spec: str
    status: str
    selector: str = ""

    def to_scale(self, obj: Object, *, is_strict: bool = True) -> dict[str, Any]:
        """Build the Scale of an object. Raises ApiError (500): no replicas, or not a number.

        is_strict: whether replicas must be there.
        """
        try:
            wanted = _integer(obj, self.spec)
            found = _integer(obj, self.status)
            selector = _read(obj, self.selector, str) if self.selector else None
        except _WrongType as error:
            raise errors.internal(str(error)) from error
        if wanted is None and is_strict:
            raise errors.internal(f'the spec replicas field "{self.spec}" does not exist')
        metadata = objects.metadata(obj)
        status: dict[str, Any] = {"replicas": found or 0}
        if selector:
            status["selector"] = selector
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {k: metadata[k] for k in _KEPT if k in metadata},
            "spec": {"replicas": wanted} if wanted else {},
            "status": status,
        }

    def apply(self, obj: Object, scale: Object) -> dict[str, Any]:
        """Return a copy of the object with the Scale's replicas (and its resourceVersion, if it has one).

        Raises ApiError (400, 500).
        """
        replicas = objects.spec(scale).get("replicas")
        if replicas is None and _integer(obj, self.spec) is None:
            raise errors.bad_request(f'the spec replicas field "{self.spec}" cannot be empty')
        found: dict[str, Any] = objects.copy(dict(obj))
        *above, last = _keys(self.spec)
        into = found
        for key in above:
            into = into.setdefault(key, {})
            if type(into) is not dict:
                raise errors.internal(
                    f"value cannot be set because {self.spec} is not a map[string]interface{{}}"
                )
        into[last] = int(replicas or 0)
        version = objects.resource_version(scale)
        if version:
            found["metadata"]["resourceVersion"] = version
        return found

    def validate(self, obj: Object, *, is_status: bool = False) -> list[FieldError]:
        """Check what the paths of an object lead to; is_status: that of the status only."""
        found = [] if is_status else _validate_replicas(obj, self.spec)
        found += _validate_replicas(obj, self.status)
        if self.selector:
            try:
                _read(obj, self.selector, str)
            except _WrongType as error:
                found.append(field.invalid(self.selector, "", str(error)))
        return found


def of(version: Mapping[str, Any]) -> ScalePaths | None:
    """Read the scale subresource of one version of a definition, if it has one."""
    found = (version.get("subresources") or {}).get("scale")
    if found is None:
        return None
    paths = found.get("specReplicasPath", ""), found.get("statusReplicasPath", "")
    return ScalePaths(*paths, found.get("labelSelectorPath") or "")


def _validate_replicas(obj: Object, path: str) -> list[FieldError]:
    try:
        value = _integer(obj, path) or 0
    except _WrongType as error:
        return [field.invalid(path, 0, str(error))]
    if value < 0:
        return [field.invalid(path, value, "should be a non-negative integer")]
    if value > _MAX:
        return [field.invalid(path, value, f"should be less than or equal to {_MAX}")]
    return []


def _keys(path: str) -> Sequence[str]:
    return path.removeprefix(".").split(".")


def _integer(obj: Object, path: str) -> int | None:
    found = _read(obj, path, int)
    return None if found is None else int(found)


def _read(obj: Object, path: str, wanted: type) -> Any:
    value: Any = obj
    keys = _keys(path)
    for key in keys:
        if type(value) is not dict:
            raise _WrongType(_say(keys, value, "map[string]interface{}"))
        if key not in value:
            return None
        value = value[key]
    if type(value) is not wanted:
        raise _WrongType(_say(keys, value, _GO_TYPES[wanted]))
    return value


def _say(keys: Sequence[str], value: Any, wanted: str) -> str:
    shown = "<nil>" if value is None else field.quote(value) if type(value) is bool else value
    shown = checks.show_number(value) if type(value) is float else shown
    kind = "<nil>" if value is None else _GO_TYPES.get(type(value), "map[string]interface {}")
    return f".{'.'.join(keys)} accessor error: {shown} is of the type {kind}, expected {wanted}"
