"""Refusals of ConfigMaps and Secrets, in the words of a real server."""

import base64
from typing import Any

import pytest

from tests.unit.nanokube.api.validation.conftest import Refusals

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("resource", "changes", "expected"),
    [
        ("configmaps", {"data": {"k": "x" * MEBIBYTE}}, []),
        (
            "configmaps",
            {"data": {"k": "x" * MEBIBYTE, "l": "x"}},
            ["[]: Too long: may not be more than 1048576 bytes"],  # the whole object's path
        ),
        (
            "secrets",
            {"type": "Opaque", "data": {"k": base64.b64encode(bytes(MEBIBYTE + 1)).decode()}},
            ["data: Too long: may not be more than 1048576 bytes"],
        ),
    ],
)
def test_data_is_at_most_a_mebibyte(
    refusals: Refusals, resource: str, changes: dict[str, Any], expected: list[str]
) -> None:
    assert refusals(resource, {"metadata": {"name": "x"}}, changes) == expected
