"""Keeps the gate, and the objects it is made of, up to date.

Source: apiserver/pkg/util/flowcontrol/apf_controller.go,
pkg/registry/flowcontrol/rest/storage_flowcontrol.go.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Never

from nanokube.api import errors, flow_defaults, objects, patch, resources
from nanokube.api.objects import Object
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.flowcontrol import limits, maintain
from nanokube.apiserver.flowcontrol.gate import Gate
from nanokube.apiserver.registry import create, delete, update
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

LEVELS: Final = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
SCHEMAS: Final = "flowschemas.flowcontrol.apiserver.k8s.io"
_BOOTSTRAP: Final = "api-priority-and-fairness-config-producer-v1"
_CONSUMER: Final = "api-priority-and-fairness-config-consumer-v1"
# resource, kind, mandatory specs, suggested specs
_KEPT: Final = (
    (LEVELS, "PriorityLevelConfiguration", flow_defaults.MANDATORY_LEVELS, flow_defaults.SUGGESTED_LEVELS),
    (SCHEMAS, "FlowSchema", flow_defaults.MANDATORY_SCHEMAS, flow_defaults.SUGGESTED_SCHEMAS),
)


class Controller:
    """One a server."""

    def __init__(self, registry: Registry, gate: Gate) -> None:
        self._registry = registry
        self._gate = gate
        self._changed = asyncio.Event()

    def offer(self, change: Change) -> None:
        """An object changed."""
        self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on the caches' time."""

    async def run(self) -> Never:
        """Follow changes and demand, for ever."""
        for name in (LEVELS, SCHEMAS):
            self._registry.caches.of(name).attach(self)
        while True:
            try:
                async with asyncio.timeout(limits.ADJUST_S):
                    await self._changed.wait()
            except TimeoutError:
                self._gate.adjust()
                continue
            self._changed.clear()
            try:
                await self.settle()
            except errors.ApiError as err:
                log.warning("cannot keep flow control: %s", err.message)

    async def settle(self) -> None:
        """Make and correct what the server keeps, configure the gate, say which schemas dangle."""
        for resource, kind, mandatory, suggested in _KEPT:
            await self._keep(resource, kind, mandatory, suggested)
        levels, schemas = self._live(LEVELS), self._live(SCHEMAS)
        self._gate.configure(levels.values(), schemas.values())
        now = self._registry.now()
        for schema in schemas.values():
            condition = maintain.dangling(schema, levels, now)
            if condition is not None:
                await self._set(schema, condition)

    def _live(self, resource: str) -> dict[str, dict[str, Any]]:
        found = (item.object() for item in self._registry.caches.of(resource).scan())
        return {objects.name(obj): obj for obj in found}

    async def _keep(
        self, resource: str, kind: str, mandatory: flow_defaults.Specs, suggested: flow_defaults.Specs
    ) -> None:
        live, specs = self._live(resource), {**suggested, **mandatory}
        for obj in maintain.missing(specs, live, kind):
            call = self._call(resource, objects.name(obj), _BOOTSTRAP)
            try:
                await create.create(self._registry, call, obj)
            except errors.ApiError as err:
                if not errors.is_already_exists(err):
                    raise
        for name in specs.keys() & live.keys():
            wanted = maintain.revised(live[name], specs[name], is_mandatory=name in mandatory)
            if wanted is not None and not objects.is_deleting(live[name]):
                await self._update(self._call(resource, name, _BOOTSTRAP), _always(wanted))
        for name in maintain.unwanted(live.values(), specs):
            try:
                await delete.delete(self._registry, self._call(resource, name, _BOOTSTRAP), DeleteOptions())
            except errors.ApiError as err:
                if not errors.is_not_found(err):
                    raise

    async def _set(self, schema: Object, condition: dict[str, Any]) -> None:
        """Apply the condition, so that conditions of others stay theirs."""
        call = self._call(SCHEMAS, objects.name(schema), _CONSUMER, "status")
        definition, config = create.definition_of(call.resource), maintain.applied(schema, condition)
        assert definition is not None

        def change(old: dict[str, Any]) -> dict[str, Any]:
            now = self._registry.now()
            options = {"manager": call.manager, "subresource": call.subresource, "now": now}
            return patch.apply_configuration(definition, old, config, force=True, **options)

        await self._update(call, change, tracks=False)

    async def _update(self, call: Call, change: update.Transform, *, tracks: bool = True) -> None:
        try:
            await update.update(self._registry, call, change, tracks=tracks)
        except errors.ApiError as err:  # changed or gone meanwhile: the next change settles it
            if not (errors.is_not_found(err) or errors.is_conflict(err)):
                raise

    def _call(self, resource: str, name: str, manager: str, subresource: str = "") -> Call:
        return Call(OWN, resources.get(resource), name=name, subresource=subresource, manager=manager)


def _always(wanted: dict[str, Any]) -> update.Transform:
    return lambda old: wanted
