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
from nanokube.kit import tls

Object = Mapping[str, Any]


class ConnectBackend:
    """Implements nanokube.apiserver.subresources.backend.Backend over the registry."""

    def __init__(self, registry: Registry, config: ApiServerConfig) -> None:
        self._registry = registry
        self._config = config
        self._loaded = (0, 0)

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
        """Give the context for kubelets, with the client certificate as it is on disk."""
        certificate, key = self._config.kubelet_client_cert, self._config.kubelet_client_key
        if certificate is None or key is None:
            return self._tls
        changed = certificate.stat().st_mtime_ns, key.stat().st_mtime_ns
        if changed != self._loaded:
            tls.load_pair(self._tls, certificate.read_bytes(), key.read_bytes())
            self._loaded = changed
        return self._tls

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._config.kubelet_ca or self._config.client_ca))

    def _get(self, resource: str, key: str, name: str) -> Object:
        found = self._registry.find(resource, key)
        if found is None:
            raise errors.not_found(resources.get(resource), name)
        return found
