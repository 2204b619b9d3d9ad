"""From a request to a User: a front proxy's word, client certificate, bearer token, or nobody.

Who shows nothing is system:anonymous, and roles say what it may; who shows what is wrong is refused.
Source: pkg/kubeapiserver/authenticator/config.go.
"""

from __future__ import annotations

from nanokube.api import errors
from nanokube.apiserver.authn import websocket_token
from nanokube.apiserver.authn.bootstrap_tokens import BootstrapTokens
from nanokube.apiserver.authn.front_proxy import FrontProxies
from nanokube.apiserver.authn.serviceaccount import InvalidToken, Tokens
from nanokube.apiserver.authn.tokens import StaticTokens
from nanokube.apiserver.authn.user import ANONYMOUS, AUTHENTICATED, User
from nanokube.kit.clock import Clock
from nanokube.kit.http.message import Request

_STATIC = "static user"


class Authenticator:
    """Tries each way in turn. A wrong token is refused even where nobody may go."""

    def __init__(
        self,
        tokens: Tokens,
        static: StaticTokens | None,
        audience: str,
        clock: Clock,
        bootstrap: BootstrapTokens | None = None,
        front_proxies: FrontProxies | None = None,
    ) -> None:
        self._tokens = tokens
        self._bootstrap = bootstrap
        self._static = static
        self._audience = audience
        self._clock = clock
        self._front_proxies = front_proxies

    def authenticate(self, request: Request) -> User:
        """Tell who makes the request. Raises ApiError (401)."""
        peer = request.peer
        user: User | None
        if self._front_proxies is not None and self._front_proxies.has_signed(peer):
            assert peer.certificate is not None
            if peer.certificate.not_after < self._clock.time():
                raise errors.unauthorized()
            user = self._front_proxies.user(request)
            if user is not None:
                return user
        elif peer.certificate is not None:
            user = peer.memo.get("user")
            if user is None:
                groups = (*peer.certificate.organizations, AUTHENTICATED)
                user = peer.memo["user"] = User(peer.certificate.common_name, groups)
            if peer.certificate.not_after < self._clock.time() or not user.name:
                raise errors.unauthorized()
            return user
        known: User | None = request.headers.memo.get(_STATIC)
        if known is not None:
            return known
        token = _token(request)
        if token and self._static is not None:
            user = self._static.find(token)
            if user is not None:  # as long as this server runs
                request.headers.memo[_STATIC] = user
                return user
        if token:
            return self.check(token)
        if peer.certificate is not None:  # of a front proxy that names nobody
            raise errors.unauthorized()
        return ANONYMOUS

    def check(self, token: str) -> User:
        """Tell whose token it is. Raises ApiError (401)."""
        if self._static is not None:
            user = self._static.find(token)
            if user is not None:
                return user
        if self._bootstrap is not None:
            user = self._bootstrap.check(token, self._clock.time())
            if user is not None:
                return user
        try:
            return self._tokens.verify(token, (self._audience,), self._clock.time())[0]
        except InvalidToken as err:
            raise errors.unauthorized() from err


def _token(request: Request) -> str:
    """Read the bearer token; "" without one, as of any other scheme. Raises ApiError (401)."""
    scheme, *rest = request.headers.get("authorization").strip().split(" ", 2)
    if rest and rest[0] and scheme.lower() == "bearer":
        return rest[0]
    try:
        return websocket_token.take(request)
    except ValueError as err:
        raise errors.unauthorized() from err
