"""Fills in Secrets of type kubernetes.io/service-account-token; deletes those whose ServiceAccount is gone.

Another CA than this server's is replaced when the server starts, not at each change: where servers share a
store and one has heard of a new CA before the others, they would write against each other for ever.
Source: pkg/controller/serviceaccount/tokens_controller.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.apiserver.authn import secret_tokens
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.registry import delete, update
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry
from nanokube.storage.store import StoreError

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
_FINAL: Final = (403, 422)  # refused, as an immutable Secret is: it would be again
_SECRETS: Final = "secrets"
_ACCOUNTS: Final = "serviceaccounts"
_MARK: Final = secret_tokens.TYPE.encode()


class TokenSecrets:
    """authority: file of what clients believe this server by, PEM."""

    def __init__(self, registry: Registry, authority: Path, sign: secret_tokens.Sign) -> None:
        self._registry = registry
        self._authority = authority
        self.sign = sign
        self._secrets = registry.caches.of(_SECRETS)
        self._pending: dict[str, bool] = {}  # whether another CA is replaced
        self._changed = asyncio.Event()

    def offer(self, change: Change) -> None:
        """A Secret changed."""
        if self._is_ours(change.item):
            self._note(change.item.key)

    def look_at_all(self, *, renews: bool = False) -> None:
        """A ServiceAccount is gone, or this server has just begun."""
        for item in self._secrets.scan():
            if self._is_ours(item):
                self._note(item.key, renews=renews)

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Look at all there are, then at each that changes, for ever."""
        self._secrets.attach(self)
        self._registry.caches.of(_ACCOUNTS).attach(_Accounts(self.look_at_all))
        self.look_at_all(renews=True)
        while True:
            await self._changed.wait()
            self._changed.clear()
            pending, self._pending = self._pending, {}
            failed = [(k, renews) for k, renews in pending.items() if not await self._looked_at(k, renews)]
            if failed:
                await asyncio.sleep(RETRY_S)
                for key, renews in failed:
                    self._note(key, renews=renews)

    def _is_ours(self, item: Item) -> bool:
        """Tell whether a Secret is of the type; few are, so that few are decoded."""
        return _MARK in item.raw and item.fields(self._secrets.read_fields).get("type") == secret_tokens.TYPE

    def _note(self, key: str, *, renews: bool = False) -> None:
        self._pending[key] = renews or self._pending.get(key, False)
        self._changed.set()

    async def _looked_at(self, key: str, renews: bool) -> bool:
        """Tell whether a Secret need not be looked at again before it changes."""
        try:
            await self.settle(key, renews=renews)
        except (errors.ApiError, StoreError, OSError) as err:
            log.warning("token secret not settled: key=%s error=%s", key, err)
            return isinstance(err, errors.ApiError) and err.code in _FINAL
        return True

    async def settle(self, key: str, *, renews: bool) -> None:
        """Fill in one Secret ("namespace/name"), or delete it. Raises ApiError, StoreError, OSError."""
        secret = self._registry.find(_SECRETS, key)
        if secret is None or objects.is_deleting(secret):
            return
        namespace, name = objects.split_key(key)
        call = Call(OWN, resources.get(_SECRETS), namespace, name, manager="kube-controller-manager")
        account = self._account(secret)
        if account is None:
            await self._registry.store.synchronize()  # another server may have made it just now
            account = self._account(secret)
        if account is not None:
            await self._fill(call, account, renews=renews)
            return
        try:
            await delete.delete(self._registry, call, DeleteOptions(uid=objects.uid(secret)))
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise
        log.info("token secret without its account deleted: key=%s", key)

    async def _fill(self, call: Call, account: Object, *, renews: bool) -> None:
        authority = self._authority.read_bytes()

        def change(secret: dict[str, Any]) -> dict[str, Any]:
            if self._account(secret) is None:
                return secret
            return secret_tokens.filled(secret, account, authority, self.sign, renews=renews)

        await update.update(self._registry, call, change, shares=False)

    def _account(self, secret: Object) -> Object | None:
        """Find the ServiceAccount that a Secret is for; of its UID, if it says one."""
        said = objects.annotations(secret)
        key = objects.join_key(objects.namespace(secret), said.get(secret_tokens.ACCOUNT_NAME, ""))
        found = self._registry.find(_ACCOUNTS, key)
        wanted = said.get(secret_tokens.ACCOUNT_UID)
        return None if found is None or (wanted and wanted != objects.uid(found)) else found


class _Accounts:
    """Hears of ServiceAccounts that go."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def offer(self, change: Change) -> None:
        """A ServiceAccount changed."""
        if change.type == DELETED:
            self._tell()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""
