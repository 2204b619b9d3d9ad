"""The kubelet's HTTPS server: TLS, client certificates, lifetime."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Never

from nanokube.kit import addresses
from nanokube.kit.http.server import Server
from nanokube.kubelet.server.host import Host
from nanokube.kubelet.server.reviews import Reviews
from nanokube.kubelet.server.routes import Routes

log = logging.getLogger(__name__)


def tls_context(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """Make the server's context. Who shows no certificate is told 401, not cut off. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def run(
    host: Host,
    reviews: Reviews,
    address: str,
    port: int,
    tls: ssl.SSLContext,
    listening: Callable[[int], None] | None = None,
) -> Never:
    """Serve until cancelled. Raises OSError.

    address: one, or several with commas between. listening: called with the bound port.
    """
    async with Server(Routes(host, reviews)) as server:
        for each in addresses.split(address):
            _, port = bound = await server.listen(each, port, tls)
            log.info("kubelet server listens: address=%s port=%d", *bound)
        if listening:
            listening(port)
        await server.wait()
