"""Owners named twice count once, and the client is told."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.endpoints import owners

A = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}
B = {**A, "name": "b"}


@pytest.mark.parametrize(
    ("references", "kept", "duplicates"),
    [
        (None, None, None),
        ([A], [A], None),
        ([A, B], [A, B], None),
        ([A, B, A], [A, B], "u"),
        ([A, A, A], [A], "u, u"),
    ],
)
def test_owners_count_once(references: Any, kept: Any, duplicates: str | None) -> None:
    obj: dict[str, Any] = {"metadata": {} if references is None else {"ownerReferences": references}}
    said = owners.once(obj)
    assert obj["metadata"].get("ownerReferences") == kept
    assert [text.rpartition(": ")[2] for text in said] == ([duplicates] if duplicates else [])
