"""What log, exec, attach, portforward and proxy need of this server: objects, and TLS to kubelets."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import errors, resources, selectors
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.registry.registry import Registry

Object = Mapping[str, Any]


class ConnectBackend:
    """Implements nanokube.apiserver.subresources.backend.Backend over the registry."""

    def __init__(self, registry: Registry, config: ApiServerConfig) -> None:
        self._registry = registry
        self._config = config

    async def pod(self, namespace: str, name: str) -> Object:
        """Get a Pod. Raises ApiError."""
        return self._get("pods", f"{namespace}/{name}", name)

    async def service(self, namespace: str, name: str) -> Object:
        """Get a Service. Raises ApiError."""
        return self._get("services", f"{namespace}/{name}", name)

    async def endpoint_slices(self, namespace: str, service: str) -> Sequence[Object]:
        """List the slices of a Service."""
        labels = selectors.from_labels({"kubernetes.io/service-name": service})
        cache = self._registry.caches.of("endpointslices.discovery.k8s.io")
        return [item.object() for item in cache.select(Selection(namespace, labels=labels))]

    async def node(self, name: str) -> Object:
        """Get a Node. Raises ApiError."""
        return self._get("nodes", name, name)

    def kubelet_tls(self) -> ssl.SSLContext:
        """Give the context for kubelets; read once."""
        return self._tls

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.create_default_context(cafile=str(config.kubelet_ca or config.client_ca))
        if config.kubelet_client_cert is not None:
            context.load_cert_chain(config.kubelet_client_cert, config.kubelet_client_key)
        return context

    def _get(self, resource: str, key: str, name: str) -> Object:
        found = self._registry.find(resource, key)
        if found is None:
            raise errors.not_found(resources.get(resource), name)
        return found
