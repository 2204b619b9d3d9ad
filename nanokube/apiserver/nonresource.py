"""What is not a resource: discovery, OpenAPI, health, version, metrics, index, the token issuer's keys."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import orjson

from nanokube.api import discovery, errors
from nanokube.apiserver import metrics, version
from nanokube.apiserver.aggregator.documents import Documents
from nanokube.apiserver.authn.serviceaccount import Tokens
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.endpoints import negotiate, respond
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.apiserver.health import Health
from nanokube.apiserver.metrics import Metrics
from nanokube.apiserver.openapi import OpenApi
from nanokube.kit import addresses
from nanokube.kit.http.message import Request, Response

_INDEX: Final = (
    "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics",
    "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version",
)  # fmt: skip
_AGGREGATED: Final = "apidiscovery.k8s.io"


class NonResource:
    """Answers paths outside the resources."""

    def __init__(
        self,
        config: ApiServerConfig,
        tokens: Tokens,
        counters: Metrics,
        health: Health,
        kinds: Kinds,
        remotes: Documents,
    ) -> None:
        self._config = config
        self._address = addresses.host_port(config.advertise_address, config.port)
        self._tokens = tokens
        self._metrics = counters
        self.health = health
        self._kinds = kinds
        self._remotes = remotes
        self._aggregated: dict[bool, tuple[tuple[int, int], bytes, str]] = {}  # by core: state, body, hash
        self.openapi = OpenApi(kinds, remotes)

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a path. Raises ApiError (404, 405)."""
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            raise errors.no_such_method()
        if health := self.health.answer(request, path):
            return health
        if path == "/api" or path.startswith(("/api/", "/apis")):
            return self._discover(request, path)
        if path.startswith("/openapi/"):
            return self.openapi.answer(request, path)
        return self._other(request, path)

    async def _counted(self) -> Response:
        return Response(200, await self._metrics.render(), metrics.CONTENT_TYPE)

    def _other(self, request: Request, path: str) -> Response | Awaitable[Response]:
        match path:
            case "/version":
                return respond.document(request, version.info(), negotiate.OBJECT)
            case "/metrics":
                return self._counted()
            case "/metrics/slis":
                return Response(200, self.health.indicators(), metrics.CONTENT_TYPE)
            case "/openid/v1/jwks":
                return Response(200, orjson.dumps(self._tokens.jwks()), "application/jwk-set+json")
            case "/.well-known/openid-configuration":
                return Response(200, orjson.dumps(self._issuer()), "application/json")
            case "/":
                known = discovery.group_versions(self._kinds.all())
                groups = [f"/apis/{g}/{v}" for g, vs in known.items() if g for v in vs]
                bare = (path.rpartition("/")[0] for path in groups)
                paths = {*_INDEX, *groups, *bare, *self._remotes.paths(), *self.health.paths()}
                return respond.document(request, {"paths": sorted(paths)}, negotiate.OBJECT)
        raise errors.no_such_path()

    def _issuer(self) -> dict[str, Any]:
        address = f"https://{self._address}"
        return {
            "issuer": self._config.issuer,
            "jwks_uri": f"{address}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def _discover(self, request: Request, path: str) -> Response:
        parts = path.split("/")[1:]
        is_root = len(parts) == 1
        if is_root and _wants_aggregated(request.headers.get("accept")):
            body, etag = self._aggregate(parts[0] == "api")
            headers = [("ETag", etag), ("Vary", "Accept"), ("Cache-Control", "public")]
            if request.headers.get("if-none-match") == etag:
                return Response(304, b"", "", headers)
            return Response(200, body, discovery.AGGREGATED_V2, headers)
        found: Mapping[str, Any] | None
        match parts:
            case ["api"]:
                found = discovery.api_versions(self._address)
            case ["api", api_version]:
                found = discovery.api_resource_list("", api_version, self._kinds.all())
            case ["apis"]:
                found = self._remotes.merged_groups(discovery.api_group_list(self._kinds.all()))
            case ["apis", group]:
                found = self._remotes.merged_group(group, discovery.api_group(group, self._kinds.all()))
            case ["apis", group, api_version]:
                found = discovery.api_resource_list(group, api_version, self._kinds.all())
            case _:
                found = None
        if found is None:
            raise errors.no_such_path()
        form = negotiate.form_of(request.headers.get("accept"), False)
        return respond.document(request, found, form)

    def _aggregate(self, is_core: bool) -> tuple[bytes, str]:
        """Give the aggregated document of /api or /apis and its ETag, made anew when the kinds changed."""
        found = self._aggregated.get(is_core)
        state = (self._kinds.generation, self._remotes.generation)
        if found is None or found[0] != state:
            made = discovery.aggregated(self._kinds.all(), core=is_core)
            body = orjson.dumps(made if is_core else self._remotes.merged(made))
            etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
            found = self._aggregated[is_core] = (state, body, etag)
        return found[1], found[2]


def _wants_aggregated(accept: str) -> bool:
    for clause in accept.split(","):
        parts = [part.strip() for part in clause.split(";")]
        if parts[0] == negotiate.JSON:
            return f"g={_AGGREGATED}" in parts and "v=v2" in parts and "as=APIGroupDiscoveryList" in parts
    return False
