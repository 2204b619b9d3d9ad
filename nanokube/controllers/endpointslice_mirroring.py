"""Shows hand-made Endpoints as EndpointSlices, for those who read only the latter.

Source: pkg/controller/endpointslicemirroring/{endpointslicemirroring_controller,reconciler,utils}.go.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers import endpoints, endpointslice, revisions
from nanokube.controllers.endpointslice import Plan
from nanokube.controllers.env import Env

ENDPOINTS = resources.get("endpoints")
SERVICES = resources.get("services")
SLICES = resources.get("endpointslices.discovery.k8s.io")
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = {endpointslice.TRIGGERED, revisions.LAST_APPLIED}
MOST_ENDPOINTS = 1000  # --mirroring-max-endpoints-per-subset


def is_mirrored(found: Object | None, service: Object | None) -> bool:
    """Tell whether Endpoints are to be shown as slices: those of a Service that selects no Pods. Pure."""
    if found is None or service is None or objects.spec(service).get("selector"):
        return False
    if objects.labels(found).get(endpoints.MANAGED_BY) == endpoints.MANAGER:
        return False  # left over from when the Service had a selector
    return objects.labels(found).get(SKIP) != "true" and LEADER not in objects.annotations(found)


def plan(found: Object, slices: Sequence[dict[str, Any]]) -> tuple[Plan, int]:
    """Decide which slices show the Endpoints; also count the addresses that are none. Pure."""
    wanted, invalid = _wanted(found)
    todo = Plan([], [], list(slices))
    for family, ports, listed in wanted:
        same = next(
            (s for s in todo.delete if (s["addressType"], s.get("ports") or []) == (family, ports)), None
        )
        if same is None:
            todo.create.append(_slice(found, family, ports, listed))
            continue
        todo.delete.remove(same)
        body = _slice(found, family, ports, listed, same)
        if body != same:
            todo.update.append(body)
    return todo, invalid


def _wanted(found: Object) -> tuple[list[tuple[str, list[Any], list[Any]]], int]:
    """Gather endpoints by address family and ports."""
    groups: list[tuple[str, list[Any], list[Any]]] = []
    invalid = 0
    for subset in found.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        for field in ("addresses", "notReadyAddresses"):
            for address in subset.get(field) or ():
                family = _family(address.get("ip", ""))
                if not family:
                    invalid += 1
                    continue
                group = next((g for g in groups if (g[0], g[1]) == (family, ports)), None)
                if group is None:
                    group = (family, ports, [])
                    groups.append(group)
                if len(group[2]) < MOST_ENDPOINTS:
                    group[2].append(_endpoint(address, is_ready=field == "addresses"))
    return groups, invalid


def _family(address: str) -> str:
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""


def _port(port: Object) -> dict[str, Any]:
    body = {"name": port.get("name") or "", "port": port["port"], "protocol": port.get("protocol") or "TCP"}
    return {**body, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else body


def _endpoint(address: Object, *, is_ready: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": is_ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            body[field] = address[field]
    return body


def _slice(
    found: Object, family: str, ports: list[Any], listed: list[Any], existing: Object | None = None
) -> dict[str, Any]:
    name = objects.name(found)
    meta: dict[str, Any] = dict(objects.metadata(existing)) if existing is not None else {
        "generateName": f"{name[:57]}-",
        "namespace": objects.namespace(found),
        "ownerReferences": [objects.controller_reference(found)],
    }  # fmt: skip
    labels = {endpointslice.SERVICE_NAME: name, endpointslice.MANAGED_BY: MANAGER}
    meta["labels"] = {**objects.labels(found), **labels}
    annotations = {key: text for key, text in objects.annotations(found).items() if key not in NOT_COPIED}
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    body = {"apiVersion": SLICES.api_version, "kind": SLICES.kind, "addressType": family}
    return {**(existing or body), "metadata": meta, "endpoints": listed, "ports": ports}


class EndpointSliceMirroringController:
    """Keeps the mirror of every hand-made Endpoints object."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._endpoints = env.informers.of(ENDPOINTS)
        self._services = env.informers.of(SERVICES)
        self._slices = env.informers.of(SLICES)
        self._slices.add_index("service", endpointslice.service_of)
        self._made: dict[str, set[str]] = {}
        self.runner = runner.Runner("endpointslice-mirroring", self.reconcile, workers=1)
        self.runner.watches(self._endpoints)
        self.runner.watches(self._services)
        self.runner.watches(self._slices, _mirrored_service_of)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one mirror up to date."""
        found, service = self._endpoints.get(key), self._services.get(key)
        slices = [
            each
            for each in self._slices.by_index("service", key)
            if objects.labels(each).get(endpointslice.MANAGED_BY) == MANAGER
        ]
        if found is None or not is_mirrored(found, service):
            self._made.pop(key, None)
            for each in slices:
                await self._delete(each)
            return None
        if self._made.pop(key, set()) - {objects.key(each) for each in slices}:
            return 1.0  # the cache does not show yet what was made last
        todo, invalid = plan({**found, "apiVersion": "v1", "kind": "Endpoints"}, slices)
        if invalid:
            message = f"Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices"
            self._env.events.event(found, "Warning", "InvalidIPAddress", message)
        for body in todo.create:
            made = await self._env.client.create(SLICES, body)
            self._made.setdefault(key, set()).add(objects.key(made))
        for body in todo.update:
            await self._env.client.update(SLICES, body)
        for each in todo.delete:
            await self._delete(each)
        return None

    async def _delete(self, found: Object) -> None:
        try:
            await self._env.client.delete(SLICES, objects.name(found), objects.namespace(found))
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise


def _mirrored_service_of(found: Object) -> list[str]:
    ours = objects.labels(found).get(endpointslice.MANAGED_BY) == MANAGER
    return endpointslice.service_of(found) if ours else []
