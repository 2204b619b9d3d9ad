"""From a request to a User: a front proxy's word, client certificate, bearer token, or nobody."""

from __future__ import annotations

from nanokube.api import errors
from nanokube.apiserver.authn.bootstrap_tokens import BootstrapTokens
from nanokube.apiserver.authn.front_proxy import FrontProxies
from nanokube.apiserver.authn.serviceaccount import InvalidToken, Tokens
from nanokube.apiserver.authn.tokens import StaticTokens
from nanokube.apiserver.authn.user import ANONYMOUS, AUTHENTICATED, User
from nanokube.kit.clock import Clock
from nanokube.kit.http.message import Request

# Load balancers and kubelets probe these without an identity.
ANONYMOUS_PATHS = ("/healthz", "/livez", "/readyz", "/version")
# Who verifies tokens of ServiceAccounts from outside has none itself; roles decide about it.
ISSUER_PATHS = ("/.well-known/openid-configuration", "/openid/v1/jwks")
# What a host reads that knows nothing of its cluster yet but a token; roles decide about it.
CLUSTER_INFO_PATH = "/api/v1/namespaces/kube-public/configmaps/cluster-info"


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
        authorization = request.headers.get("authorization")
        if authorization[:7].lower() == "bearer ":
            return self.check(authorization[7:].strip())
        path = request.path
        if path in (*ANONYMOUS_PATHS, *ISSUER_PATHS) or path.startswith(("/livez/", "/readyz/", "/healthz/")):
            return ANONYMOUS
        if path == CLUSTER_INFO_PATH and request.method == "GET":
            return ANONYMOUS
        raise errors.unauthorized()

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
