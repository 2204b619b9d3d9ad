"""What the tables of good and bad objects share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api import defaults, objects, resources
from nanokube.api.validation import whole

Changes = dict[str, Any]
Refusals = Callable[[str, dict[str, Any], Changes], list[str]]


class Gone:
    """Stands for a field that is taken away."""


GONE = Gone()


def change(obj: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return a copy in which fields, given by paths such as "spec.rules[0].host", have other values."""
    copy: dict[str, Any] = objects.copy(obj)
    for path, value in changes.items():
        keys = [int(i) if i else name for name, i in re.findall(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]", path)]
        at: Any = copy
        for key in keys[:-1]:
            at = at[key]
        if isinstance(value, Gone):
            at.pop(keys[-1])
        else:
            at[keys[-1]] = value
    return copy


def filled(name: str, base: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return a changed object with its defaults."""
    obj = change({"metadata": {"name": "x", "uid": "u", "resourceVersion": "1"}, **base}, changes)
    resource = resources.get(name)
    if resource.namespaced:
        obj["metadata"].setdefault("namespace", "d")
    defaults.apply(resource, obj)
    return obj


@pytest.fixture
def refusals() -> Refusals:
    """Check a new object: resource, base, changes -> messages."""

    def check(name: str, base: dict[str, Any], changes: Changes) -> list[str]:
        return [str(e) for e in whole.validate_create(resources.get(name), filled(name, base, changes))]

    return check


@pytest.fixture
def gone() -> Gone:
    """The value that takes a field away."""
    return GONE


@pytest.fixture
def update_refusals() -> Callable[[str, dict[str, Any], Changes, Changes], list[str]]:
    """Check an update: resource, base, changes before, changes after -> messages."""

    def check(name: str, base: dict[str, Any], before: Changes, after: Changes) -> list[str]:
        old, new = filled(name, base, before), filled(name, base, {**before, **after})
        return [str(e) for e in whole.validate_update(resources.get(name), new, old)]

    return check


@pytest.fixture
def status_refusals() -> Callable[[str, dict[str, Any], Changes, Changes], list[str]]:
    """Check a new status: resource, base, changes before, changes after -> messages."""

    def check(name: str, base: dict[str, Any], before: Changes, after: Changes) -> list[str]:
        old, new = filled(name, base, before), filled(name, base, {**before, **after})
        return [str(e) for e in whole.validate_status_update(resources.get(name), new, old)]

    return check
