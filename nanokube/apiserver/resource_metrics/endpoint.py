"""get and list of metrics.k8s.io, for `kubectl top` and HorizontalPodAutoscalers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanokube.api import errors, objects, resource_metrics
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints import respond
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry.registry import Registry
from nanokube.apiserver.resource_metrics.kubelets import Kubelets
from nanokube.apiserver.resource_metrics.readings import Readings
from nanokube.apiserver.subresources.backend import Backend
from nanokube.kit.http.message import Answer

Object = Mapping[str, Any]


class ResourceMetrics:
    """Serves what is used, unless an APIService says that another server does."""

    def __init__(self, registry: Registry, backend: Backend) -> None:
        self._registry = registry
        self._readings = Readings(Kubelets(backend).summary, registry.clock)

    async def answer(self, scope: Scope) -> Answer:
        """Answer one or all. Raises ApiError."""
        form, info = scope.form(), scope.info
        found = await self._found(scope.resource, self._wanted(scope))
        if info.verb == "get":
            if not found:
                raise errors.not_found(scope.resource, info.name)
            return respond.document(scope.request, found[0], form)
        kind = {"kind": scope.resource.list_kind, "apiVersion": scope.resource.api_version}
        items = [{key: value for key, value in each.items() if key not in kind} for each in found]
        return respond.document(scope.request, {**kind, "metadata": {}, "items": items}, form)

    def _wanted(self, scope: Scope) -> list[Object]:
        """Select the Nodes or Pods that are asked about."""
        cache = self._registry.caches.of(scope.resource.plural)
        if scope.info.verb == "get":
            name = scope.info.name
            item = cache.find(f"{scope.info.namespace}/{name}" if scope.resource.namespaced else name)
            return [] if item is None else [item.object()]
        selection: Selection = scope.selection()
        return [item.object() for item in cache.select(selection)]

    async def _found(self, resource: Resource, wanted: list[Object]) -> list[dict[str, Any]]:
        nodes = self._registry.caches.of("nodes")
        self._readings.forget({item.name for item in nodes.scan()})
        hosts = {_node_of(resource, each) for each in wanted}
        items = [item for name in sorted(hosts) if name and (item := nodes.find(name)) is not None]
        pairs = await self._readings.of(item.object() for item in items)
        build = resource_metrics.pod if resource.namespaced else resource_metrics.node
        made = (build(each, *pairs[host]) for each in wanted if (host := _node_of(resource, each)) in pairs)
        return [each for each in made if each is not None]


def _node_of(resource: Resource, obj: Object) -> str:
    if not resource.namespaced:
        return objects.name(obj)
    return str(objects.spec(obj).get("nodeName") or "")
