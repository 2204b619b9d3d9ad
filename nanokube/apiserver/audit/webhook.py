"""The webhook backend: POSTs EventLists to what a kubeconfig names, again and again if need be.

Source: staging apiserver plugin/pkg/audit/webhook, pkg/util/webhook/webhook.go.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from nanokube.api import errors
from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import WebhookSettings
from nanokube.apiserver.endpoints import yaml_body

log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
FACTOR: Final = 1.5
JITTER: Final = 0.2
TIMEOUT_S: Final = 30.0

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to POST. tls: None for http."""

    url: str
    tls: ssl.SSLContext | None
    headers: Mapping[str, str]


def read(file: Path) -> Target:
    """Read a kubeconfig's current context. Raises OSError, ValueError."""
    try:
        tree = yaml_body.parse(file.read_bytes())[0]
        context = _named(tree, "contexts", "context", tree.get("current-context"))
        cluster = _named(tree, "clusters", "cluster", context.get("cluster"))
        user = _named(tree, "users", "user", context["user"]) if context.get("user") else {}
        url = str(cluster.get("server") or "")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"server {url!r} is not a URL")
        return Target(url, _tls(cluster, user, file.parent), _headers(user, file.parent))
    except (ValueError, KeyError, AttributeError, TypeError, errors.ApiError) as err:
        raise ValueError(f"cannot read audit webhook configuration {file}: {err}") from err


def _named(tree: Mapping[str, Any], plural: str, kind: str, name: Any) -> Mapping[str, Any]:
    """Find an entry; without a name, the first of one (upstream's file of a webhook needs no context)."""
    entries = tree.get(plural) or ()
    for entry in entries:
        if entry.get("name") == name:
            return entry.get(kind) or {}
    raise ValueError(f"{kind} {name!r} is not there")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path) -> ssl.SSLContext | None:
    if not str(cluster.get("server")).startswith("https://"):
        return None
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go demands no key identifiers
    authority = _pem(cluster, "certificate-authority", base)
    if authority:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", base), _pem(user, "client-key", base)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as pair:  # ssl reads files only; this one is ours alone (0600)
            pair.write(certificate + b"\n" + key)
            pair.flush()
            context.load_cert_chain(pair.name)
    return context


def _pem(tree: Mapping[str, Any], name: str, base: Path) -> bytes:
    data, file = tree.get(f"{name}-data"), tree.get(name)
    if data:
        return base64.b64decode(data)
    return (base / file).read_bytes() if file else b""


def _headers(user: Mapping[str, Any], base: Path) -> dict[str, str]:
    found = {"Content-Type": "application/json", "User-Agent": "nanokube-apiserver-audit"}
    token = user.get("token") or ""
    if not token and user.get("tokenFile"):
        token = (base / user["tokenFile"]).read_text().strip()
    if token:
        found["Authorization"] = f"Bearer {token}"
    elif user.get("username"):
        pair = f"{user['username']}:{user.get('password') or ''}"
        found["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return found


class WebhookBackend:
    """POSTs batches, several at a time."""

    name = "webhook"
    is_parallel = True

    def __init__(
        self, settings: WebhookSettings, metrics: AuditMetrics, sleep: Sleep = asyncio.sleep
    ) -> None:
        """Read where to POST. Raises OSError, ValueError."""
        self._target = read(settings.config_file)
        self._backoff_s = settings.initial_backoff_s
        self._metrics = metrics
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    def render(self, event: Mapping[str, Any], encoded: bytes) -> bytes:
        """Make an item of an EventList."""
        return encoded

    async def deliver(self, items: list[bytes]) -> bool:
        """POST events until they are taken, at most ATTEMPTS times."""
        body, delay = events.event_list(items), self._backoff_s
        cause = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._sleep(delay * (1 + random.random() * JITTER))
                delay *= FACTOR
            try:
                await self._post(body)
            except (aiohttp.ClientError, TimeoutError, OSError) as err:
                cause = str(err) or type(err).__name__
                continue
            return True
        self._metrics.errors.labels(self.name).inc(len(items))
        log.error("audit webhook not reached: events=%d error=%s", len(items), cause)
        return False

    async def _post(self, body: bytes) -> None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(
                headers=self._target.headers,
                timeout=timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        context = self._target.tls if self._target.tls is not None else True
        async with self._session.post(
            self._target.url, data=body, ssl=context, allow_redirects=False
        ) as answer:
            if not 200 <= answer.status < 300:
                raise aiohttp.ClientError(f"the webhook answered {answer.status}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
