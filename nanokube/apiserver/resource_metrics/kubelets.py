"""Asks a kubelet what its node and Pods use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson

from cri.wire.aio import dial
from nanokube.api import errors
from nanokube.apiserver.subresources import location
from nanokube.apiserver.subresources.backend import Backend

TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 16 << 20


class Kubelets:
    """All kubelets. backend: how to reach them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def summary(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read /stats/summary. Raises OSError (TimeoutError), ProtocolError, ApiError, JSONDecodeError."""
        where = location.kubelet(node)
        async with asyncio.timeout(TIMEOUT_S):
            answer = await dial.dial(
                where.host, where.port, "GET", "/stats/summary", (), tls=self._backend.kubelet_tls()
            )
            try:
                body = await answer.read(_MAX_BYTES)
            finally:
                answer.abort()
        if answer.status != 200:
            raise errors.internal(f"the kubelet answered {answer.status}")
        found: Mapping[str, Any] = orjson.loads(body)
        return found
