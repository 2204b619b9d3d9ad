"""Keeps ConfigMap kube-system/extension-apiserver-authentication: whom extension servers shall believe.

Certificates of other servers of this cluster, which may be newer or older than ours, stay until they expire.
Source: pkg/controlplane/controller/clusterauthenticationtrust/cluster_authentication_trust_controller.go.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Never

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nanokube.api import errors, resources
from nanokube.apiserver.authn import front_proxy, remote_user
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.registry import create, update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"
RESYNC_S: Final = 60.0
RETRY_S: Final = 1.0
_CLIENTS: Final = "client-ca-file"
_PROXIES: Final = "requestheader-client-ca-file"

Data = Mapping[str, str]


def wanted(clients: str, proxies: str) -> dict[str, str]:
    """Build the data of the ConfigMap. clients, proxies: authorities, PEM; "" for none."""
    found = {_CLIENTS: clients} if clients else {}
    if proxies:
        lists = {
            "requestheader-username-headers": [remote_user.USER],
            "requestheader-uid-headers": [remote_user.UID],
            "requestheader-group-headers": [remote_user.GROUP],
            "requestheader-extra-headers-prefix": [remote_user.EXTRA],
            "requestheader-allowed-names": list(front_proxy.ALLOWED_NAMES),
        }
        found |= {name: orjson.dumps(values).decode() for name, values in lists.items()}
        found[_PROXIES] = proxies
    return found


def merged(live: Data, ours: Data, now: datetime.datetime) -> dict[str, str]:
    """Add ours to what is there: lists and certificates are joined, expired certificates dropped."""
    found = dict(live)
    for name, value in ours.items():
        if name in (_CLIENTS, _PROXIES):
            found[name] = _joined(live.get(name, ""), value, now)
        else:
            known = _list(live.get(name, ""))
            found[name] = orjson.dumps([*known, *(v for v in _list(value) if v not in known)]).decode()
    return found


def _list(text: str) -> list[str]:
    try:
        found = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _joined(live: str, ours: str, now: datetime.datetime) -> str:
    found: list[str] = []
    for text in (live, ours):
        try:
            certificates = x509.load_pem_x509_certificates(text.encode()) if text.strip() else []
        except ValueError:
            continue  # what nobody can read vouches for nobody
        for each in certificates:
            pem = each.public_bytes(Encoding.PEM).decode()
            if each.not_valid_after_utc > now and pem not in found:
                found.append(pem)
    return "".join(found)


class AuthenticationConfig:
    """Follows the ConfigMap, and the files now and then."""

    def __init__(self, registry: Registry, config: ApiServerConfig) -> None:
        self._registry = registry
        self._config = config
        self._changed = asyncio.Event()

    def offer(self, change: Change) -> None:
        """A ConfigMap changed."""
        if change.item.key == f"{NAMESPACE}/{NAME}":
            self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Keep the ConfigMap until cancelled."""
        detach = self._registry.caches.of("configmaps").attach(self)
        try:
            while True:
                self._changed.clear()
                try:
                    await self.settle()
                    delay = RESYNC_S
                except (errors.ApiError, OSError) as err:
                    log.warning("authentication of extension servers not published: error=%s", err)
                    delay = RETRY_S
                    await asyncio.sleep(RETRY_S)
                try:
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            detach()
        raise AssertionError("unreachable")

    async def settle(self) -> None:
        """Make or correct the ConfigMap. Raises ApiError, OSError."""
        ours = wanted(_read(self._config.client_ca), _read(self._config.front_proxy_ca))
        if not ours:
            return
        resource = resources.get("configmaps")
        call = Call(OWN, resource, NAMESPACE, NAME, manager="kube-apiserver")
        live = self._registry.find("configmaps", call.key)
        now = datetime.datetime.fromtimestamp(self._registry.clock.time(), datetime.UTC)
        if live is None:
            new = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": NAME, "namespace": NAMESPACE},
                "data": merged({}, ours, now),
            }
            try:
                await create.create(self._registry, call, new)
            except errors.ApiError as err:
                if not errors.is_already_exists(err):  # another server was first
                    raise
        elif merged(_data(live), ours, now) != _data(live):
            await update.update(
                self._registry, call, lambda old: {**old, "data": merged(_data(old), ours, now)}
            )


def _data(obj: Mapping[str, Any]) -> Data:
    return obj.get("data") or {}


def _read(file: Path | None) -> str:
    return file.read_text() if file is not None and file.exists() else ""
