"""Hosts that join, by the bootstrap token they were given.

Source: plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from nanokube.api import bootstrap_tokens, objects
from nanokube.apiserver.authn.user import AUTHENTICATED, User

Find = Callable[[str, str], Mapping[str, Any] | None]


class BootstrapTokens:
    """Looks tokens up in the Secrets of kube-system at each request: a deleted one is refused at once.

    find: storage name and key to the live object.
    """

    def __init__(self, find: Find) -> None:
        self._find = find

    def check(self, token: str, now: float) -> User | None:
        """Tell whose token it is; None if it is no bootstrap token, wrong, expired or for other uses."""
        parts = bootstrap_tokens.split(token)
        if parts is None:
            return None
        key = f"{bootstrap_tokens.NAMESPACE}/{bootstrap_tokens.NAME_PREFIX}{parts[0]}"
        secret = self._find("secrets", key)
        if secret is None or objects.is_deleting(secret):
            return None
        known = bootstrap_tokens.of_secret(secret)
        if known is None or not hmac.compare_digest(known.secret.encode(), parts[1].encode()):
            return None
        if known.is_expired(now) or bootstrap_tokens.AUTHENTICATION not in known.usages:
            return None
        groups = (bootstrap_tokens.BASE_GROUP, *known.groups, AUTHENTICATED)
        return User(f"{bootstrap_tokens.USER_PREFIX}{known.token_id}", groups)
