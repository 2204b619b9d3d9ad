"""certificatesigningrequests/approval: changes the conditions and the metadata, nothing else.

Source: pkg/registry/certificates/certificates/strategy.go (csrApprovalStrategy).
"""

from __future__ import annotations

import inspect
from typing import Any

from nanokube.api import strategy
from nanokube.api.validation import whole
from nanokube.apiserver.endpoints import read, respond, write
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import update as updating
from nanokube.kit.http.message import Answer


async def approve(scope: Scope) -> Answer:
    """Get, replace or patch the approval."""
    if scope.request.method == "GET":
        found = read.get(scope)
        return await found if inspect.isawaitable(found) else found
    call, form = scope.call(), scope.form()
    change, tracks = write.change_of(scope, call)

    def prepare(new: dict[str, Any], old: dict[str, Any]) -> None:
        wanted = (new.get("status") or {}).get("conditions") or []
        strategy.prepare_for_update(scope.resource, new, old)  # keeps the status
        new["spec"] = old["spec"]
        status = {k: v for k, v in (old.get("status") or {}).items() if k != "conditions"}
        new["status"] = {**status, "conditions": wanted} if wanted else status
        strategy.date_conditions(scope.resource, new, old, scope.registry.now())

    item = await updating.update(
        scope.registry, call, change, prepare=prepare, check=whole.validate_approval, tracks=tracks
    )
    return respond.encoded(scope.request, [item.raw], form, warnings=call.warnings)
