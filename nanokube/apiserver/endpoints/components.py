"""componentstatuses: what of old told the health of the store and the components; here, of the store.

Scheduler and controllers keep Leases and serve no health over a port that the server could ask, so only the
store, which the server knows itself, is named. Source: pkg/registry/core/componentstatus/rest.go.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from nanokube.api import errors, table
from nanokube.apiserver.endpoints import negotiate, respond
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.kit.http.message import Answer

_STORE: Final = "etcd-0"


def answer(scope: Scope) -> Answer:
    """Get or list them."""
    if scope.info.verb == "watch":
        raise errors.method_not_allowed(scope.resource, "watch")
    items = [_component(is_healthy=scope.registry.store.is_healthy)]
    name = scope.info.name if scope.info.verb == "get" else ""
    if name and name != _STORE:
        raise errors.not_found(scope.resource, name)
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    found: dict[str, Any]
    if form.shape == "Table":
        found = table.to_table(scope.resource, items, now=scope.registry.clock.time(), list_metadata={})
    elif form.shape:
        found = table.partial_metadata(items[0]) if name else table.partial_metadata_list(items, {})
    elif name:
        found = items[0]
    else:
        found = {"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}
    return respond.encoded(scope.request, [orjson.dumps(found)], form)


def _component(*, is_healthy: bool) -> dict[str, Any]:
    condition = {"type": "Healthy", "status": "True" if is_healthy else "False"}
    condition["message" if is_healthy else "error"] = "ok" if is_healthy else "cannot write to the store"
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": _STORE, "creationTimestamp": None},
        "conditions": [condition],
    }
