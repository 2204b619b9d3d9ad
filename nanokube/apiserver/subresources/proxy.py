"""The proxy subresource of Pods, Services and Nodes: HTTP passed on, upgrades too.

Source: apimachinery pkg/util/proxy (upgradeaware.go, transport.go), pkg/registry/core/{pod,service,node}.
"""

import asyncio
import gzip
import random
import ssl

from cri.wire.aio import dial
from cri.wire.errors import ProtocolError
from nanokube.api import errors
from nanokube.apiserver.subresources import body, page, proxy_target
from nanokube.apiserver.subresources.backend import Backend
from nanokube.apiserver.subresources.proxy_target import Target
from nanokube.apiserver.subresources.tunnel import tunnel
from nanokube.kit.http.message import Answer, Request, Response, StreamResponse


async def pod(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Serve pods/proxy; name: [scheme:]pod[:port]."""
    wanted = proxy_target.split(name)
    target = proxy_target.of_pod(await backend.pod(namespace, wanted.name), wanted)
    return await _forward(request, target, _any_server(target), rest)


async def service(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Serve services/proxy; name: [scheme:]service[:port]. A ready endpoint is chosen at random."""
    wanted = proxy_target.split(name)
    found = await backend.service(namespace, wanted.name)
    slices = await backend.endpoint_slices(namespace, wanted.name)
    targets = proxy_target.of_service(found, slices, wanted)
    if not targets:
        raise errors.service_unavailable(f'no endpoints available for service "{wanted.name}"')
    target = random.choice(targets)
    return await _forward(request, target, _any_server(target), rest)


async def node(request: Request, backend: Backend, namespace: str, name: str, rest: str) -> Answer:
    """Serve nodes/proxy; name: [scheme:]node[:port]. The kubelet is spoken to as the API server."""
    wanted = proxy_target.split(name)
    target, is_kubelet = proxy_target.of_node(await backend.node(wanted.name), wanted)
    tls = backend.kubelet_tls() if is_kubelet else _any_server(target)
    return await _forward(request, target, tls, rest)


def _any_server(target: Target) -> ssl.SSLContext | None:
    """Make a context that believes any certificate, as upstream: no CA vouches for names of Pods."""
    if not target.is_tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _forward(request: Request, target: Target, tls: ssl.SSLContext | None, rest: str) -> Answer:
    path = proxy_target.path(request.method, request.raw_path, rest)
    if path is None:
        return Response(301, headers=[("Location", proxy_target.with_slash(request.target))])
    query = request.query.raw
    url = path + ("?" + query if query else "")
    fields = proxy_target.request_fields(tuple(request.headers), request.peer.host)
    if request.upgrade:
        upgrade = ("Upgrade", request.headers.get("upgrade"))
        return await tunnel(request, target.address, url, tls, [*fields, upgrade])
    try:
        answer = await dial.dial(
            target.address.host, target.address.port, request.method, url, fields, request.body, tls=tls
        )
    except (OSError, ProtocolError) as err:
        raise errors.service_unavailable(f"error trying to reach service: {err}") from err
    request.on_disconnect(answer.abort)
    prefix = proxy_target.prefix(request.raw_path, path)
    kept = proxy_target.answer_fields(answer.fields, target.address, prefix)
    content_type = answer.field("content-type")
    if answer.status in (204, 304):
        await answer.close()
        return Response(answer.status, headers=kept)
    is_redirect = bool(answer.field("location"))
    if page.is_page(content_type) and request.method != "HEAD" and not is_redirect:
        return await _page(answer, kept, lambda url: proxy_target.relocate(url, target.address, prefix))
    return StreamResponse(body.passed_on(answer), answer.status, content_type, kept)


async def _page(answer: dial.Answer, fields: list[tuple[str, str]], relocate: page.Relocate) -> Answer:
    """Hand a page on with its URLs led through the proxy; one too long or in an unknown encoding as it is."""
    content_type, encoding = answer.field("content-type"), answer.field("content-encoding")
    came, is_whole = await body.first(answer, page.MAX_BYTES)
    if not is_whole:
        return StreamResponse(body.passed_on(answer, came), answer.status, content_type, fields)
    await answer.close()
    data = await asyncio.to_thread(_rewrite, came, encoding, relocate)
    return Response(answer.status, data, content_type, fields)


def _rewrite(data: bytes, encoding: str, relocate: page.Relocate) -> bytes:
    plain = page.unpack(data, encoding)
    if plain is None:
        return data
    led = page.rewrite(plain, relocate)
    return gzip.compress(led) if encoding == "gzip" else led
