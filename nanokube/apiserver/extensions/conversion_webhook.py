"""Asks a webhook to convert custom resources.

Source: staging apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from nanokube.api import errors
from nanokube.api.custom import conversion
from nanokube.apiserver.extensions.kinds import Definition
from nanokube.apiserver.outgoing.client import CallFailed, Client

TIMEOUT_S: Final = 30.0


class ConversionWebhook:
    """client: None where nothing is converted."""

    def __init__(self, client: Client | None) -> None:
        self._client = client

    async def convert(
        self, definition: Definition, objs: Sequence[Mapping[str, Any]], api_version: str
    ) -> list[dict[str, Any]]:
        """Convert objects of one definition to one version, in one call. Raises ApiError (500)."""
        webhook = definition.webhook
        if webhook is None or self._client is None:
            raise errors.internal(f"no conversion webhook for {definition.name}")
        review = conversion.review(webhook, objs, api_version, str(uuid.uuid4()))
        try:
            answer = await self._client.post(webhook["clientConfig"], orjson.dumps(review), TIMEOUT_S)
            return conversion.judge(review, orjson.loads(answer))
        except (CallFailed, ValueError) as err:
            kind = f"{objs[0].get('apiVersion')}, Kind={objs[0].get('kind')}"
            raise errors.internal(f"conversion webhook for {kind} failed: {err}") from err
