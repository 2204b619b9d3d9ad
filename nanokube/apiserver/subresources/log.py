"""The log of a Pod's container, streamed from its kubelet."""

from cri.wire.aio import dial
from cri.wire.errors import ProtocolError
from nanokube.api import errors
from nanokube.apiserver import websocket
from nanokube.apiserver.subresources import body, location
from nanokube.apiserver.subresources.backend import Backend
from nanokube.apiserver.subresources.tunnel import require_method
from nanokube.kit.http.message import Answer, Request, Response, StreamResponse

_MAX_REFUSAL_BYTES = 50_000  # apiserver's GenericHttpResponseChecker


async def log(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Serve pods/log. A Pod that has no Node yet has an empty log, as upstream."""
    require_method(request, "GET")
    websocket.check(request)
    location.check_log_options(name, tuple(request.query))
    pod = await backend.pod(namespace, name)
    container = location.container(pod, request.query.get("container"))
    target = location.log_target(pod, container, tuple(request.query))
    if not location.node_name(pod):
        return Response(204)
    address = location.kubelet(await backend.node(location.node_name(pod)))
    try:
        answer = await dial.dial(
            address.host, address.port, "GET", target, (), tls=backend.kubelet_tls(), head_timeout_s=None
        )
    except (OSError, ProtocolError) as err:
        raise errors.internal(f"cannot reach the kubelet of pod {name}: {err}") from err
    if answer.status != 200:
        raise await _refusal(answer)
    request.on_disconnect(answer.abort)

    return websocket.carry(request, StreamResponse(body.passed_on(answer), content_type="text/plain"))


async def _refusal(answer: dial.Answer) -> errors.ApiError:
    try:
        text = (await answer.read(_MAX_REFUSAL_BYTES)).decode("utf-8", "replace").rstrip("\n")
    finally:
        await answer.close()
    if answer.status == 400:
        return errors.bad_request(text)
    if answer.status == 404:
        return errors.ApiError("NotFound", 404, text)
    return errors.internal(text)
