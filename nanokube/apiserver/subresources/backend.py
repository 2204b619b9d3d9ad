"""What the connect subresources ask of the API server: objects, and how to reach kubelets."""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from nanokube.kit.http.message import Answer, Request

Object = Mapping[str, Any]


class Backend(Protocol):
    """The registry as seen from here. Each getter raises ApiError not found."""

    async def pod(self, namespace: str, name: str) -> Object:
        """Return a Pod."""
        ...

    async def service(self, namespace: str, name: str) -> Object:
        """Return a Service."""
        ...

    async def endpoint_slices(self, namespace: str, service: str) -> Sequence[Object]:
        """Return the EndpointSlices labelled kubernetes.io/service-name=service."""
        ...

    async def node(self, name: str) -> Object:
        """Return a Node."""
        ...

    def kubelet_tls(self) -> ssl.SSLContext:
        """Return the context for kubelets: our client certificate, the CA that signs theirs."""
        ...


Serve = Callable[[Request, Backend, str, str, str], Awaitable[Answer]]
"""serve(request, backend, namespace, name, rest) -> answer; rest: the path after proxy/. Raises ApiError.

Authentication, authorization and admission (CONNECT) come before; exec, attach and portforward are authorized
as `create` whatever the method.
"""
