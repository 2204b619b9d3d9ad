"""What a server does that is not alone: others write to its store, and its caches may be behind them.

    read   without a version: caches catch up with all that anyone was acknowledged, by one question to the
           store for all that ask at once; at a version: with that version
    write  goes ahead with what is cached, since the store compares; a refusal that may come of being behind
           (not found, conflict, forbidden, invalid) is looked at again when the caches have caught up

A server alone on its store never comes here.
Source: KEP-2340 (consistent reads from cache); staging apiserver pkg/storage/etcd3/store.go.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final

from nanokube.api import errors
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import outage
from nanokube.kit.http.message import Answer
from nanokube.storage.store import FutureRevision, Store

_READS: Final = frozenset(("get", "list", "watch"))
_DOUBTFUL: Final = frozenset((403, 404, 409, 422))
_ATTEMPTS: Final = 6  # a Service that loses a race for an address takes another

Endpoint = Callable[[Scope], Answer | Awaitable[Answer]]


async def answer(store: Store, endpoint: Endpoint, scope: Scope) -> Answer:
    """Answer a request by what the store holds now. Raises ApiError."""
    if scope.info.verb in _READS:
        await _catch_up(store, scope.request.query.get("resourceVersion"))
        return await _run(endpoint, scope)
    for attempt in range(_ATTEMPTS):
        before = store.revision
        try:
            return await _run(endpoint, scope)
        except errors.ApiError as err:
            if err.code not in _DOUBTFUL or errors.is_already_exists(err) or attempt == _ATTEMPTS - 1:
                raise
            await outage.synchronize(store)
            if store.revision == before:
                raise  # nothing was missing
    raise AssertionError("unreachable")


async def _catch_up(store: Store, version: str) -> None:
    if version == "0":
        return  # whatever there is
    if not version.isdigit():
        await outage.synchronize(store)  # what is no number is refused by the endpoint
        return
    try:
        await outage.synchronize(store, int(version))
    except FutureRevision:
        return  # refused by the endpoint, in its words


async def _run(endpoint: Endpoint, scope: Scope) -> Answer:
    result = endpoint(scope)
    return await result if inspect.isawaitable(result) else result
