"""Keeps the status of ValidatingAdmissionPolicies: what was checked, and warnings of what cannot work.

Upstream runs this in kube-controller-manager; here are the types of all kinds already.
Source: pkg/controller/validatingadmissionpolicystatus/controller.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import errors, facts, objects, resources
from nanokube.api.cel import types
from nanokube.api.cel.types import Type
from nanokube.api.resources import Resource
from nanokube.apiserver.admission.policies import typecheck
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.registry import update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

RESOURCE: Final = "validatingadmissionpolicies.admissionregistration.k8s.io"
_MANAGER: Final = "kube-controller-manager"


class PolicyStatus:
    """Follows the policies."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = asyncio.Event()
        self._pending: dict[str, None] = {}

    def offer(self, change: Change) -> None:
        """A policy changed."""
        if change.type != DELETED:
            self._pending[change.item.name] = None
            self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    def catch_up(self) -> None:
        """Hear of changes from now on, and of what is stored."""
        policies = self._registry.caches.of(RESOURCE)
        policies.attach(self)
        self._pending |= dict.fromkeys(item.name for item in policies.scan())

    async def run(self) -> Never:
        """Follow the policies, for ever."""
        self.catch_up()
        while True:
            await self.settle()
            self._changed.clear()
            if not self._pending:
                await self._changed.wait()

    async def settle(self) -> None:
        """Check what is pending."""
        while self._pending:
            name = next(iter(self._pending))
            del self._pending[name]
            try:
                await self._check(name)
            except errors.ApiError as err:
                if not errors.is_not_found(err):
                    log.warning("cannot write status of policy %s: %s", name, err.message)
            except Exception:
                log.exception("cannot check policy %s", name)
            await asyncio.sleep(0)  # each takes milliseconds

    async def _check(self, name: str) -> None:
        policy = self._registry.find(RESOURCE, name)
        if policy is None:
            return
        generation = objects.generation(policy)
        if objects.status(policy).get("observedGeneration") == generation:
            return
        kinds = self._registry.kinds
        found = typecheck.warnings(policy, kinds.find, kinds.by_kind, self._type_of)
        status: dict[str, Any] = {"observedGeneration": generation, "typeChecking": {}}
        if found:
            status["typeChecking"] = {"expressionWarnings": found}
        call = Call(OWN, resources.get(RESOURCE), "", name, "status", manager=_MANAGER)
        await update.update(self._registry, call, lambda live: _with_status(live, status))

    def _type_of(self, resource: Resource) -> Type:
        if resource.custom is None:
            name = facts.name_of(resource.group, resource.version, resource.kind)
            return typecheck.built_in(name) if name is not None else types.DYN
        definition = self._registry.kinds.definition(resource.storage_name)
        versions = definition.crd["spec"]["versions"] if definition is not None else ()
        for version in versions:
            if version["name"] == resource.version and (version.get("schema") or {}).get("openAPIV3Schema"):
                schema = version["schema"]["openAPIV3Schema"]
                return types.from_schema(schema, name=resource.kind, resource_root=True)
        return types.DYN


def _with_status(live: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Put in what was found; conditions are others'."""
    return {**live, "status": {**objects.status(live), **status}}
