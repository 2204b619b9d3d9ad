"""ConfigMaps, Secrets and tokens that Pods refer to: fetched when needed, kept for a short while.

A node may read only objects that its Pods name, one by one; so these are GETs with a time to live and not a
watch of a namespace. Immutable objects are kept until their last Pod is gone.
Source: pkg/kubelet/util/manager/cache_based_manager.go, pkg/kubelet/token/token_manager.go.
"""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from nanokube.api import errors, resources, timestamps
from nanokube.client.interface import ApiClient
from nanokube.kit import clock

Object = Mapping[str, Any]

CONFIG_MAPS = resources.get("configmaps")
SECRETS = resources.get("secrets")
CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
SERVICE_ACCOUNTS = resources.get("serviceaccounts")
FRESH_S = 20.0
MAX_TOKEN_AGE_S = 24 * 3600
REFRESH_FRACTION = 0.8  # token_manager.go: renewed once 80 % of its life has passed


@dataclasses.dataclass(slots=True)
class _Kept:
    obj: dict[str, Any] | None
    fetched: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


class References:
    """Reads what Pods refer to. Raises ApiError and OSError as the client does.

    Missing ConfigMaps and Secrets are None.
    """

    def __init__(self, client: ApiClient, time: clock.Clock = clock.SYSTEM) -> None:
        self._client = client
        self._clock = time
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._locks: defaultdict[tuple[str, str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tokens: dict[tuple[str, str, int], _Token] = {}

    async def config_map(self, namespace: str, name: str, *, fresh_s: float = FRESH_S) -> Object | None:
        """Return a ConfigMap no older than fresh_s."""
        return await self._get(CONFIG_MAPS, namespace, name, fresh_s)

    async def secret(self, namespace: str, name: str, *, fresh_s: float = FRESH_S) -> Object | None:
        """Return a Secret no older than fresh_s."""
        return await self._get(SECRETS, namespace, name, fresh_s)

    async def claim(self, namespace: str, name: str) -> Object:
        """Read a PersistentVolumeClaim anew: Pods wait for it to change. Raises ApiError if it is missing."""
        return await self._client.get(CLAIMS, name, namespace)

    async def persistent_volume(self, name: str) -> Object:
        """Read a PersistentVolume anew. Raises ApiError if it is missing."""
        return await self._client.get(VOLUMES, name)

    async def _get(
        self, resource: resources.Resource, namespace: str, name: str, fresh_s: float
    ) -> dict[str, Any] | None:
        key = (resource.plural, namespace, name)
        async with self._locks[key]:
            kept = self._kept.get(key)
            if kept is not None and self._is_fresh(kept, fresh_s):
                return kept.obj
            try:
                obj = await self._client.get(resource, name, namespace)
            except errors.ApiError as error:
                if not errors.is_not_found(error):
                    raise
                obj = None
            self._kept[key] = _Kept(obj, self._clock.monotonic())
            return obj

    def _is_fresh(self, kept: _Kept, fresh_s: float) -> bool:
        if kept.obj is not None and kept.obj.get("immutable"):
            return True
        return self._clock.monotonic() - kept.fetched < fresh_s

    async def token(self, pod: Object, audience: str, expiration_s: int) -> str:
        """Return a token of the Pod's service account, bound to the Pod; renewed before it expires."""
        meta = pod["metadata"]
        key = (meta["uid"], audience, expiration_s)
        known = self._tokens.get(key)
        now = self._clock.time()
        if known is not None and now < known.renew_at:
            return known.text
        spec: dict[str, Any] = {
            "expirationSeconds": expiration_s,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": meta["name"],
                "uid": meta["uid"],
            },
        }
        if audience:
            spec["audiences"] = [audience]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        account = pod["spec"].get("serviceAccountName") or "default"
        answer = await self._client.create(
            SERVICE_ACCOUNTS, body, meta["namespace"], subresource="token", name=account
        )
        status = answer["status"]
        expires = timestamps.parse(status["expirationTimestamp"])
        renew_at = now + min((expires - now) * REFRESH_FRACTION, MAX_TOKEN_AGE_S)
        self._tokens[key] = _Token(status["token"], renew_at)
        return str(status["token"])

    def forget(self, uid: str) -> None:
        """Drop a Pod's tokens."""
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]

    def collect(self, oldest_s: float = 600.0) -> None:
        """Drop what nobody asked for in a while."""
        now = self._clock.monotonic()
        for key in [key for key, kept in self._kept.items() if now - kept.fetched > oldest_s]:
            del self._kept[key]
            if not self._locks[key].locked():
                del self._locks[key]
