"""What kube-apiserver v1.36 answered to definitions and custom resources, good and bad, is what we answer.

The files hold what was sent and what came back: for definitions the causes of the refusal (none: accepted),
for custom resources the object, what it replaces, the subresource, the status code, the causes (of a 422),
message (of another refusal) or accepted spec, and the warning.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from nanokube.api import defaults, errors, resources, schema
from nanokube.api.custom import resource
from nanokube.api.resource import Resource
from nanokube.api.validation import whole

DATA: Final = Path(__file__).parents[4] / "data"
DEFINITIONS: Final[list[Any]] = orjson.loads((DATA / "custom-definitions-v1.36.json").read_bytes())
OBJECTS: Final[list[Any]] = orjson.loads((DATA / "custom-resources-v1.36.json").read_bytes())
ROW: Final = resources.get("customresourcedefinitions.apiextensions.k8s.io")


def accept(crd: dict[str, Any]) -> dict[str, Any]:
    """Decode a definition and fill in its defaults."""
    found = schema.get("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert found is not None
    made, _ = found.decode(orjson.dumps(crd))
    defaults.apply(ROW, made)
    return made


def causes(found: Any) -> list[list[str]]:
    return sorted([error.path, error.body()] for error in found)


@pytest.mark.parametrize(("crd", "expected"), DEFINITIONS)
def test_definitions_are_refused_as_upstream_refuses_them(crd: dict[str, Any], expected: Any) -> None:
    assert causes(whole.validate_create(ROW, accept(crd))) == expected


def kind_of(crd: dict[str, Any]) -> Resource:
    return resource.resources_of(accept(crd))[0]


KINDS: Final = [kind_of(each["definition"]) for each in OBJECTS]
ROWS: Final = [(kind, *row) for kind, each in zip(KINDS, OBJECTS, strict=True) for row in each["objects"]]


def read(kind: Resource, obj: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Decode a custom resource as a request brings it."""
    assert kind.custom is not None
    found: dict[str, Any] = copy.deepcopy(obj)
    if type(found["metadata"]) is dict:
        found["metadata"]["namespace"] = "d"
    found, problems = kind.custom.clean(found)
    kind.custom.apply_defaults(found)
    return found, problems


@pytest.mark.parametrize(("kind", "new", "old", "subresource", "code", "answer", "warning"), ROWS)
def test_objects_are_refused_as_upstream_refuses_them(
    kind: Resource, new: Any, old: Any, subresource: str, code: int, answer: Any, warning: str | None
) -> None:
    if code == 400:
        with pytest.raises(errors.ApiError) as refused:
            read(kind, new)
        assert refused.value.message == answer
        return
    made, problems = read(kind, new)
    if subresource:
        before, _ = read(kind, old)
        made = {**before, "status": made["status"]}
        found = whole.validate_status_update(kind, made, before)
    elif old is not None:
        made.pop("status", None)
        found = whole.validate_update(kind, made, read(kind, old)[0])
    else:
        made.pop("status", None)
        found = whole.validate_create(kind, made)
    assert causes(found) == (answer if code == 422 else [])
    if code < 300 and old is None:
        assert {k: v for k, v in made.items() if k in ("spec", "status")} == answer
        text = (warning or "").replace("\\", "")
        assert [problem for problem in problems if problem not in text] == []
        assert text.count("unknown field") == len(problems)
