"""Endpoints: the older view of where a Service's Pods are.

Source: pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go.
"""

from collections.abc import Iterable
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import runner, store
from nanokube.controllers import service_pods
from nanokube.controllers.env import Env

ENDPOINTS = resources.get("endpoints")
SERVICES = resources.get("services")
PODS = resources.get("pods")
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
MOST_ADDRESSES = 1000


def subsets(service: Object, pods: Iterable[Object]) -> list[dict[str, Any]]:
    """Gather addresses by the ports they share; ready ones apart from the others. Pure."""
    publish = bool(objects.spec(service).get("publishNotReadyAddresses"))
    family = (objects.spec(service).get("ipFamilies") or ["IPv4"])[0]
    found: dict[tuple[service_pods.Port, ...], dict[str, list[dict[str, Any]]]] = {}
    for pod in sorted(pods, key=objects.uid)[:MOST_ADDRESSES]:
        address = service_pods.address_of(pod, family)
        if not address or not service_pods.may_serve(pod) or (objects.is_deleting(pod) and not publish):
            continue
        ports = service_pods.ports_of(service, pod)
        if not ports and not service_pods.is_headless(service):
            continue
        ready = service_pods.conditions(pod, publish_not_ready=publish)["ready"]
        subset = found.setdefault(ports, {"addresses": [], "notReadyAddresses": []})
        subset["addresses" if ready else "notReadyAddresses"].append(_address(service, pod, address))
    return [_subset(ports, subset) for ports, subset in sorted(found.items())]


def _address(service: Object, pod: Object, address: str) -> dict[str, Any]:
    body: dict[str, Any] = {"ip": address, "targetRef": service_pods.target_reference(pod)}
    if node := objects.spec(pod).get("nodeName"):
        body["nodeName"] = node
    if hostname := service_pods.hostname_of(service, pod):
        body["hostname"] = hostname
    return body


def _subset(ports: tuple[service_pods.Port, ...], subset: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    body: dict[str, Any] = {field: found for field, found in subset.items() if found}
    if ports:
        listed = [port.body() for port in ports]
        body["ports"] = [{k: v for k, v in port.items() if v != ""} for port in listed]
    return body


class EndpointsController:
    """Keeps the Endpoints of every Service with a selector."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._services = env.informers.of(SERVICES)
        self._pods = env.informers.of(PODS)
        self._endpoints = env.informers.of(ENDPOINTS)
        for source in (self._services, self._pods):
            source.add_index("namespace", store.by_namespace)
        self.runner = runner.Runner("endpoints", self.reconcile)
        self.runner.watches(self._services)
        self.runner.watches(self._endpoints)
        self.runner.watches(self._pods, self._services_of)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one Service's Endpoints up to date."""
        service, existing = self._services.get(key), self._endpoints.get(key)
        if service is None:
            await self._remove(existing)
            return None
        selector = objects.spec(service).get("selector")
        is_elsewhere = objects.spec(service).get("type") == "ExternalName"
        if not selector or is_elsewhere or objects.is_deleting(service):
            return None
        in_namespace = self._pods.by_index("namespace", objects.namespace(service))
        chosen = [pod for pod in in_namespace if selector.items() <= objects.labels(pod).items()]
        labels = {**objects.labels(service), MANAGED_BY: MANAGER}
        labels.pop(service_pods.HEADLESS_LABEL, None)
        if service_pods.is_headless(service):
            labels[service_pods.HEADLESS_LABEL] = ""
        wanted = subsets(service, chosen)
        if existing is None:
            meta = {"name": objects.name(service), "namespace": objects.namespace(service), "labels": labels}
            body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": wanted}
            await self._env.client.create(ENDPOINTS, body)
        elif (existing.get("subsets") or []) != wanted or objects.labels(existing) != labels:
            meta = {**existing["metadata"], "labels": labels}
            await self._env.client.update(ENDPOINTS, {**existing, "metadata": meta, "subsets": wanted})
        return None

    async def _remove(self, existing: Object | None) -> None:
        """Delete what this controller made; hand-made Endpoints without a Service are their maker's."""
        if existing is None or objects.labels(existing).get(MANAGED_BY) != MANAGER:
            return
        try:
            name, namespace = objects.name(existing), objects.namespace(existing)
            await self._env.client.delete(ENDPOINTS, name, namespace, uid=objects.uid(existing))
        except errors.ApiError as err:
            if err.code != 404:
                raise

    def _services_of(self, pod: Object) -> list[str]:
        services = self._services.by_index("namespace", objects.namespace(pod))
        return service_pods.services_of(pod, services)
