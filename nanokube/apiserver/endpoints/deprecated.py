"""Kinds that are deprecated: every answer about them says so.

Source: staging apiserver pkg/endpoints/deprecation, zz_generated.prerelease-lifecycle.go of the groups.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Final

from nanokube.api import errors
from nanokube.api.resources import Resource
from nanokube.apiserver.endpoints import respond
from nanokube.kit.http.message import Answer, UpgradeResponse

_BUILT_IN: Final[Mapping[str, str]] = {
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}


def warning(resource: Resource) -> str:
    """Return what clients are told of a deprecated kind; "" of others."""
    kind = resource.custom
    return _BUILT_IN.get(resource.name, "") if kind is None else kind.deprecation_warning


def warned(text: str, found: Answer | Awaitable[Answer]) -> Answer | Awaitable[Answer]:
    """Say a text, if it is one, in an answer."""
    if not text:
        return found
    return _warned_later(text, found) if inspect.isawaitable(found) else _warned(text, found)


async def _warned_later(text: str, found: Awaitable[Answer]) -> Answer:
    try:
        return _warned(text, await found)
    except errors.ApiError as err:
        err.warnings = [text, *err.warnings]
        raise


def _warned(text: str, found: Answer) -> Answer:
    if not isinstance(found, UpgradeResponse):
        found.headers = [*found.headers, respond.warning(text)]
    return found
