"""exec, attach and portforward of a Pod: tunnelled to its kubelet."""

from nanokube.apiserver.subresources import location
from nanokube.apiserver.subresources.backend import Backend
from nanokube.apiserver.subresources.tunnel import require_method, tunnel
from nanokube.kit.http.message import Answer, Request


async def exec(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Run a command in a container."""
    return await _command("exec", request, backend, namespace, name)


async def attach(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Attach to a container's own process."""
    return await _command("attach", request, backend, namespace, name)


async def portforward(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Forward ports of a Pod."""
    require_method(request, "GET", "POST")
    pod = await backend.pod(namespace, name)
    node = await backend.node(location.require_node(pod))
    target = location.forward_target(pod, tuple(request.query))
    return await tunnel(request, location.kubelet(node), target, backend.kubelet_tls())


async def _command(verb: str, request: Request, backend: Backend, namespace: str, name: str) -> Answer:
    require_method(request, "GET", "POST")
    pod = await backend.pod(namespace, name)
    container = location.container(pod, request.query.get("container"))
    node = await backend.node(location.require_node(pod))
    target = location.stream_target(verb, pod, container, tuple(request.query))
    return await tunnel(request, location.kubelet(node), target, backend.kubelet_tls())
