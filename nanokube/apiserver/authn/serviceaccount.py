"""ServiceAccount tokens: JWTs (ES256) bound to an audience, an expiry and, often, a Pod, Secret or Node.

A token dies with what it is bound to: the live objects are looked up at each check. Those that Secrets keep
(secret_tokens.py) have neither audience nor expiry, and are for this server.
Source: Kubernetes pkg/serviceaccount/claims.go; RFC 7519.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nanokube.apiserver.authn import secret_tokens
from nanokube.apiserver.authn.user import AUTHENTICATED, User, service_account

CLAIM: Final = "kubernetes.io"
# A projected token that asks for 3607 s is given a year and warned about after that hour (upstream's
# WarnOnlyBoundTokenExpirationSeconds and ExpirationExtensionSeconds): old clients never re-read the file.
EXTENDED_FOR_S: Final = 3607
EXTENSION_S: Final = 365 * 24 * 3600
_EXTRA: Final = "authentication.kubernetes.io/"

# (resource name such as "pods", namespace, name) -> the live object or None
Lookup = Callable[[str, str, str], Mapping[str, Any] | None]


class InvalidToken(Exception):
    """The token is not ours, forged, expired, or what it is bound to is gone."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a token is bound to. kind: Pod, Secret or Node."""

    kind: str
    name: str
    uid: str
    node: tuple[str, str] = ("", "")  # name and UID of the Pod's node


class Tokens:
    """Signs and verifies with one key pair; the clock is passed to each call."""

    def __init__(self, public_pem: bytes, private_pem: bytes, issuer: str, lookup: Lookup) -> None:
        key = serialization.load_pem_private_key(private_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("cannot use the service account key: it is not an elliptic curve key")
        public = serialization.load_pem_public_key(public_pem)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise ValueError("cannot use the service account public key: it is not an elliptic curve key")
        self._private, self._public = key, public
        self._issuer = issuer
        self._lookup = lookup
        self._key_id = _key_id(public)
        self._cache: dict[str, Mapping[str, Any]] = {}

    def issue(
        self,
        account: Mapping[str, Any],
        audiences: Sequence[str],
        expiration_s: int,
        now: float,
        bound: Binding | None = None,
    ) -> tuple[str, float]:
        """Sign a token for a ServiceAccount object; return it and its nominal expiry (epoch seconds)."""
        metadata = account["metadata"]
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        lifetime = expiration_s
        if bound is not None:
            private[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
            if bound.node[0]:
                private["node"] = {"name": bound.node[0], "uid": bound.node[1]}
            if bound.kind == "Pod" and expiration_s == EXTENDED_FOR_S:
                lifetime = EXTENSION_S
                private["warnafter"] = int(now) + expiration_s
        claims = {
            "iss": self._issuer,
            "sub": service_account(metadata["namespace"], metadata["name"]),
            "aud": list(audiences),
            "exp": int(now) + lifetime,
            "iat": int(now),
            "nbf": int(now),
            "jti": str(uuid.uuid4()),
            CLAIM: private,
        }
        return self.sign(claims), float(int(now) + expiration_s)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Make a token of claims."""
        return jwt.encode(dict(claims), self._private, algorithm="ES256", headers={"kid": self._key_id})

    def verify(self, token: str, audiences: Sequence[str], now: float) -> tuple[User, Sequence[str]]:
        """Check a token; return its user and which of the audiences it is for. Raises InvalidToken."""
        claims = self._claims(token)
        is_kept = claims["iss"] == secret_tokens.ISSUER
        if not is_kept and (claims["exp"] <= now or claims.get("nbf", 0) > now + 60):
            raise InvalidToken("service account token has expired")
        meant = [self._issuer] if is_kept else claims["aud"]
        shared = [audience for audience in audiences if audience in meant]
        if not shared:
            raise InvalidToken(f"token audiences {meant} is invalid for the target audiences")
        return (self._kept(claims, token) if is_kept else self._user(claims)), shared

    def jwks(self) -> dict[str, Any]:
        """Build the JSON web key set of the public key (RFC 7517)."""
        numbers = self._public.public_numbers()
        point = {
            name: _base64(value.to_bytes(32, "big")) for name, value in (("x", numbers.x), ("y", numbers.y))
        }
        key = {"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": "ES256", **point}
        return {"keys": [key]}

    def _claims(self, token: str) -> Mapping[str, Any]:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        known = self._cache.get(digest)
        if known is None:
            options: Any = {
                "verify_exp": False,
                "verify_aud": False,
                "verify_nbf": False,
                "verify_iat": False,
            }
            issuers = (self._issuer, secret_tokens.ISSUER)
            try:
                known = jwt.decode(token, self._public, algorithms=["ES256"], issuer=issuers, options=options)
                _check_shape(known)
            except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as err:
                raise InvalidToken(f"cannot verify token: {type(err).__name__}") from err
            if len(self._cache) > 4096:
                self._cache.clear()
            self._cache[digest] = known
        return known

    def _kept(self, claims: Mapping[str, Any], token: str) -> User:
        """Name the user of a token that a Secret keeps."""
        namespace, secret, name, uid = secret_tokens.named(claims)
        if not secret_tokens.says(self._lookup("secrets", namespace, secret), token):
            raise InvalidToken("token does not match server's copy")
        self._check_alive("serviceaccounts", namespace, {"name": name, "uid": uid})
        return User(service_account(namespace, name), _groups(namespace), uid)

    def _user(self, claims: Mapping[str, Any]) -> User:
        private = claims[CLAIM]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._check_alive("serviceaccounts", namespace, account)
        extra = [(f"{_EXTRA}credential-id", (f"JTI={claims['jti']}",))] if claims.get("jti") else []
        node = private.get("node")
        pod = private.get("pod")
        if node:
            extra += [(f"{_EXTRA}node-name", (node["name"],)), (f"{_EXTRA}node-uid", (node["uid"],))]
        if pod:
            self._check_alive("pods", namespace, pod)
            extra += [(f"{_EXTRA}pod-name", (pod["name"],)), (f"{_EXTRA}pod-uid", (pod["uid"],))]
        elif private.get("secret"):
            self._check_alive("secrets", namespace, private["secret"])
        elif node:
            self._check_alive("nodes", "", node)
        user = service_account(namespace, account["name"])
        return User(user, _groups(namespace), account["uid"], tuple(extra))

    def _check_alive(self, resource: str, namespace: str, wanted: Mapping[str, str]) -> None:
        found = self._lookup(resource, namespace, wanted["name"])
        if found is None or found["metadata"].get("uid") != wanted["uid"]:
            raise InvalidToken(f"{resource} {namespace}/{wanted['name']} of the token is gone")


def _check_shape(claims: Mapping[str, Any]) -> None:
    """Demand what is read later. Raises KeyError, TypeError, ValueError."""
    if claims["iss"] == secret_tokens.ISSUER:
        secret_tokens.named(claims)
        return
    private = claims[CLAIM]
    _ = (claims["exp"] + 0, private["namespace"], private["serviceaccount"]["uid"], list(claims["aud"]))


def _groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)


def _key_id(public: ec.EllipticCurvePublicKey) -> str:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _base64(hashlib.sha256(der).digest())


def _base64(data: bytes) -> str:
    return jwt.utils.base64url_encode(data).decode()
