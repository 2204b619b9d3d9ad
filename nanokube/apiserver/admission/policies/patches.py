"""What a mutation's expression gave, done to the object. Pure.

Source: staging apiserver pkg/admission/plugin/policy/mutating/patch/{json_patch,smd}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nanokube.api import facts, patch
from nanokube.api.errors import ApiError
from nanokube.api.patch import fieldsets

Object = Mapping[str, Any]
_TEST_FAILED: Final = "test failed"


class CannotPatch(Exception):
    """The expression's value is no patch of the object."""


def json_patch(obj: Object, value: Any) -> dict[str, Any]:
    """Do a list of JSONPatch; a test that fails leaves the object as it is. Raises CannotPatch."""
    if not isinstance(value, list):
        raise CannotPatch("type mismatch: JSONPatchType.expression should evaluate to array")
    operations = [_operation(each) for each in value]
    try:
        found = patch.apply_json_patch(dict(obj), operations)
    except ApiError as err:
        if err.message.endswith(_TEST_FAILED):
            return dict(obj)
        raise CannotPatch(f"JSON Patch: {err.message}") from err
    if not isinstance(found, dict):
        raise CannotPatch("JSON Patch: the patched document is not an object")
    return found


def _operation(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise CannotPatch("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    found = {"op": value.get("op") or "", "path": value.get("path") or ""}
    if value.get("from"):
        found["from"] = value["from"]
    if "value" in value:
        found["value"] = value["value"]
    return found


def apply_configuration(
    obj: Object, value: Any, definition: facts.Definition | None, problems: list[str]
) -> dict[str, Any]:
    """Merge an apply configuration; nobody comes to own its fields. problems: of its schema.

    Raises CannotPatch.
    """
    if not isinstance(value, Mapping):
        raise CannotPatch("unsupported return type from ApplyConfiguration expression")
    if definition is None:
        raise CannotPatch("error applying patch: type converter must not be nil")
    if problems:
        unknown = problems[0].removeprefix('unknown field "').removesuffix('"')
        raise CannotPatch(
            "error applying patch: failed to convert patch object to typed object: "
            f".{unknown}: field not declared in schema"
        )
    config = {key: field for key, field in value.items() if key not in ("apiVersion", "kind")}
    found = list(atomics(definition.type, config))
    if found:
        cause = f"may not mutate atomic arrays, maps or structs: {', '.join(found)}"
        raise CannotPatch(f"error applying patch: invalid ApplyConfiguration: {cause}")
    return patch.merge_configuration(definition, obj, config)


def atomics(type_: facts.Type | None, config: Object, path: str = "") -> Iterator[str]:
    """Name what the configuration would replace as a whole: that hardly ever is what was meant."""
    for key, value in config.items():
        field, at = fieldsets.child_field(type_, key), f"{path}.{key}"
        if field is None:
            continue
        if isinstance(value, Mapping):
            if fieldsets.is_atomic(field):
                yield at
            yield from atomics(field.type, value, at)
        elif isinstance(value, list):
            if field.list_type == "atomic":
                yield at
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from atomics(field.type.item, item, f"{at}[{index}]")
