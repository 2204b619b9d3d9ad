"""Warnings of deprecated built-in kinds."""

from __future__ import annotations

import pytest

from tests.unit.nanokube.apiserver.conftest import Api

SPACE = "/api/v1/namespaces/default"
ENDPOINTS = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'


@pytest.mark.parametrize(
    ("path", "warnings"),
    [
        (f"{SPACE}/endpoints", [ENDPOINTS]),
        (f"{SPACE}/endpoints/kubernetes", [ENDPOINTS]),
        ("/api/v1/componentstatuses", ['299 - "v1 ComponentStatus is deprecated in v1.19+"']),
        (f"{SPACE}/services", []),
    ],
)
async def test_each_answer_warns_once(api: Api, path: str, warnings: list[str]) -> None:
    for _ in range(2):
        reply = await api("GET", path)
        assert reply.headers.getall("warning") == warnings
