"""What must hold of selectable fields: paths of scalars, each once, not too many. Pure.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import field
from nanokube.api.custom import field_path
from nanokube.api.field import FieldError

_MAX: Final = 8
_TYPES: Final = ("string", "boolean", "integer")
_WRONG_TYPE: Final = (
    "must point to a field of type string, boolean or integer. "
    "Enum string fields and strings with formats are allowed."
)


def validate(
    rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Any], path: str, has_many: bool
) -> list[FieldError]:
    """Check the selectable fields of a schema. has_many: there were too many before."""
    found, seen = list[FieldError](), set[str]()
    for index, row in enumerate(rows):
        here, text = f"{path}[{index}].jsonPath", row.get("jsonPath") or ""
        if not text:
            found.append(field.required(here))
            continue
        try:
            name, target = field_path.resolve(text, schema, with_brackets=False)
        except field_path.BadPath as error:
            found.append(field.invalid(here, text, f"is an invalid path: {error}"))
            continue
        if name == "metadata" or name.startswith(("metadata.", "metadata[")):
            found.append(field.invalid(here, text, "must not point to fields in metadata"))
        if target is None or target.get("type") not in _TYPES:
            found.append(field.invalid(here, text, _WRONG_TYPE))
        if name in seen:
            found.append(field.duplicate(here, text))
        seen.add(name)
    if len(seen) > _MAX and not has_many:
        found.append(field.too_many(path, len(seen), _MAX))
    return found
