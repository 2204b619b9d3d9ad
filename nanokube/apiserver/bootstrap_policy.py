"""Writes the bootstrap roles and bindings, and gives back what was taken from them.

Source: pkg/registry/rbac/rest/storage_rbac.go (PostStartHook), component-helpers/auth/rbac/reconciliation.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nanokube.api import errors, resources
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.authz import policy, rules
from nanokube.apiserver.registry import create, update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

_MANAGER: Final = "kube-apiserver"


async def run(registry: Registry) -> None:
    """Make what is absent, all at once so that one commit takes many; add what is missing."""
    async with asyncio.TaskGroup() as group:
        for name, wanted in policy.objects():
            live = registry.find(name, _key(wanted))
            if live is None or _repaired(live, wanted) is not None:
                group.create_task(ensure(registry, name, wanted))


async def ensure(registry: Registry, name: str, wanted: dict[str, Any]) -> None:
    """Create an object, or extend the live one by the rules, subjects and labels that it lacks."""
    resource, metadata = resources.get(name), wanted["metadata"]
    call = Call(OWN, resource, metadata.get("namespace", ""), metadata["name"], manager=_MANAGER)
    if registry.find(name, call.key) is None:
        try:
            await create.create(
                registry, call, {**wanted, "apiVersion": resource.api_version, "kind": resource.kind}
            )
        except errors.ApiError as err:
            if not errors.is_already_exists(err):
                raise
        return
    await update.update(registry, call, lambda old: _repaired(old, wanted) or old)


def _key(obj: dict[str, Any]) -> str:
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def _repaired(live: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return the live object with what it lacks, or None if nothing is or its owner forbids it."""
    metadata = live["metadata"]
    if (metadata.get("annotations") or {}).get(policy.AUTOUPDATE, "true") != "true":
        return None
    changed = dict(live)
    labels = {**wanted["metadata"]["labels"], **(metadata.get("labels") or {})}
    if labels != (metadata.get("labels") or {}):
        changed["metadata"] = {**metadata, "labels": labels}
    if "roleRef" in wanted:
        have = live.get("subjects") or []
        absent = [s for s in wanted["subjects"] if s not in have]
        if absent:
            changed["subjects"] = [*have, *absent]
    elif "aggregationRule" not in wanted and (live.get("rules") or []) != wanted["rules"]:
        own = [rules.parse(r) for r in live.get("rules") or ()]
        lost = [r for r in wanted["rules"] if rules.missing(own, [rules.parse(r)])]
        if lost:
            changed["rules"] = [*(live.get("rules") or []), *lost]
    return changed if changed != live else None
