"""A node's own certificates: asked for by the API, renewed long before they end, written where all look.

    none or due ──request──> pending ──approved, signed──> file replaced ──> clients and servers take it up
         ^                      │ refused, or no answer                            │ 70 to 90 % of its life
         └──── RETRY_S ─────────┘ <────────────────────────────────────────────────┘

A file holds certificate and key together, so that one rename replaces both.
Source: pkg/kubelet/certificate/kubelet.go, staging client-go util/certificate/certificate_manager.go.
"""

import asyncio
import datetime
import logging
import random
from pathlib import Path
from typing import Never

from nanokube.api import certificate_requests as requests
from nanokube.api import errors, resources
from nanokube.client.interface import ApiClient
from nanokube.kit import addresses, clock, files, pki, tasks

log = logging.getLogger(__name__)

REQUESTS = resources.get("certificatesigningrequests.certificates.k8s.io")
ISSUE_TIMEOUT_S = 900.0  # certificate_manager.go waits as long for a request to be approved
FIRST_LOOK_S, LAST_LOOK_S = 0.05, 5.0
RETRY_S = 60.0
LOOK_S = 3600.0  # a clock that was set is noticed after this
ORGANIZATION = "system:nodes"
USER_PREFIX = "system:node:"


def client_subject(node: str) -> pki.Subject:
    """Name a kubelet as a client of the API."""
    return pki.Subject(USER_PREFIX + node, (ORGANIZATION,))


def serving_subject(node: str, address: str) -> pki.Subject:
    """Name a kubelet as a server. address: one, or several with commas between."""
    return pki.Subject(USER_PREFIX + node, (ORGANIZATION,), (node, *addresses.split(address)))


async def obtain(
    client: ApiClient, subject: pki.Subject, signer: str, *, timeout_s: float = ISSUE_TIMEOUT_S
) -> bytes:
    """Ask for a certificate and wait for it; returns certificate and key, PEM.

    Raises RequestRefused, TimeoutError, ApiError, OSError.
    """
    made = pki.request(subject)
    csr = await client.create(REQUESTS, requests.build(made.request, signer))
    name = csr["metadata"]["name"]
    wait_s = FIRST_LOOK_S
    try:
        async with asyncio.timeout(timeout_s):
            while (issued := requests.certificate(csr)) is None:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 1.5, LAST_LOOK_S)
                csr = await client.get(REQUESTS, name)
    except TimeoutError as err:
        raise TimeoutError(f"certificate request {name} was not signed in {timeout_s:.0f} s") from err
    return issued + made.key


def due_at(described: pki.Described, part: float) -> datetime.datetime:
    """Return when a certificate is to be renewed. part: of its life, 0 to 1. Pure."""
    return described.not_before + (described.not_after - described.not_before) * part


class NodeCertificates:
    """Keeps the client's and the server's certificate of one kubelet."""

    def __init__(
        self,
        client: ApiClient,
        node: str,
        address: str,
        client_file: Path,
        serving_file: Path,
        time: clock.Clock = clock.SYSTEM,
        part: float | None = None,
    ) -> None:
        """part: of a certificate's life after which it is renewed; by chance if not given."""
        self._client = client
        self._clock = time
        # Drawn once: nodes that joined together do not all come back at once.
        self._part = random.uniform(0.7, 0.9) if part is None else part
        self._wanted = {
            client_file: (client_subject(node), requests.KUBELET_CLIENT),
            serving_file: (serving_subject(node, address), requests.KUBELET_SERVING),
        }

    async def ensure(self) -> None:
        """Obtain what is missing, unreadable or for other names; retried until it is there."""
        while True:
            try:
                for file, (subject, _signer) in self._wanted.items():
                    if self._due_in(file, subject) is None:
                        await self.renew(file)
                return
            except (requests.RequestRefused, errors.ApiError, OSError) as err:
                log.warning("no certificate yet: error=%s", tasks.describe(err))
            await asyncio.sleep(LAST_LOOK_S)

    async def renew(self, file: Path) -> None:
        """Obtain one anew and put it in its place. Raises as obtain does."""
        subject, signer = self._wanted[file]
        pem = await obtain(self._client, subject, signer)
        await asyncio.to_thread(files.write_private, file, pem)
        log.info("certificate obtained: file=%s", file)

    async def run(self) -> Never:
        """Renew each long before its end, until cancelled."""
        while True:
            due_s = {
                file: due if (due := self._due_in(file, subject)) is not None else 0.0
                for file, (subject, _signer) in self._wanted.items()
            }
            file = min(due_s, key=lambda each: due_s[each])
            if due_s[file] > 0:
                await asyncio.sleep(min(due_s[file], LOOK_S))
                continue
            try:
                await self.renew(file)
            except (requests.RequestRefused, errors.ApiError, OSError) as err:
                log.warning("certificate not renewed: file=%s error=%s", file, tasks.describe(err))
                await asyncio.sleep(RETRY_S)

    def _due_in(self, file: Path, subject: pki.Subject) -> float | None:
        """Return the seconds until a file's certificate is to be renewed; None if it is of no use."""
        try:
            described = pki.describe(file.read_bytes())
        except (OSError, ValueError):
            return None
        if frozenset(described.names) != frozenset(subject.names):
            return None
        now = self._clock.time()
        if described.not_after.timestamp() <= now:
            return None
        return due_at(described, self._part).timestamp() - now
