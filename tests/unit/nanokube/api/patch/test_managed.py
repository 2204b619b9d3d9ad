"""Who set what: entries are stored as clients expect their bytes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import facts
from nanokube.api.patch import managed

MAP = facts.definition("io.k8s.api.core.v1.ConfigMap")


@pytest.mark.parametrize(
    "old",
    [None, {"metadata": {"name": "m", "labels": {"z": "1"}}, "data": {"b": "0"}}],
    ids=["created", "updated"],
)
def test_fields_are_stored_in_order(old: dict[str, Any] | None) -> None:
    new: dict[str, Any] = {
        "data": {"z": "1", "b": "2", "a": "3"},
        "metadata": {"name": "m", "labels": {"z": "1", "a": "2"}},
        "binaryData": {"x": "eA=="},
    }
    managed.track_update(MAP, old, new, manager="m", api_version="v1", now="2026-01-02T03:04:05Z")
    fields = new["metadata"]["managedFields"][-1]["fieldsV1"]
    assert orjson.dumps(fields) == orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
