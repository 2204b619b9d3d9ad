"""Bootstrap tokens: what their Secrets say, and the signatures by which a host knows its cluster. Pure.

Source: staging cluster-bootstrap token, plugin/pkg/auth/authenticator/token/bootstrap; RFC 7515 (JWS).
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object

SECRET_TYPE: Final = "bootstrap.kubernetes.io/token"
NAMESPACE: Final = "kube-system"
NAME_PREFIX: Final = "bootstrap-token-"
USER_PREFIX: Final = "system:bootstrap:"
BASE_GROUP: Final = "system:bootstrappers"
# What a token of `nanokube token create` may do hangs on this group (apiserver/authz/policy.py).
JOIN_GROUP: Final = "system:bootstrappers:nanokube:default-node-token"
AUTHENTICATION: Final = "authentication"
SIGNING: Final = "signing"
CLUSTER_INFO: Final = "cluster-info"
CLUSTER_INFO_NAMESPACE: Final = "kube-public"
KUBECONFIG_KEY: Final = "kubeconfig"
SIGNATURE_PREFIX: Final = "jws-kubeconfig-"
# Who may read what a further server is given, sealed.
SERVER_GROUP: Final = "system:bootstrappers:nanokube:control-plane"
CERTIFICATES: Final = "nanokube-certs"  # Secret in kube-system
SETTINGS: Final = "nanokube-config"  # ConfigMap in kube-system: what nodes of this cluster share

_ID: Final = re.compile(r"[a-z0-9]{6}")
_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


@dataclasses.dataclass(frozen=True, slots=True)
class BootstrapToken:
    """One token. expires: seconds since the epoch, None: never. groups: beside BASE_GROUP."""

    token_id: str
    secret: str = dataclasses.field(repr=False)
    expires: float | None = None
    usages: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    description: str = ""

    def is_expired(self, now: float) -> bool:
        """Tell whether its time is over."""
        return self.expires is not None and self.expires <= now


def split(token: str) -> tuple[str, str] | None:
    """Split a token into its public id and its secret; None if it is no bootstrap token.

    >>> split("abcdef.0123456789abcdef"), split("abcdef")
    (('abcdef', '0123456789abcdef'), None)
    """
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def of_secret(secret: Object) -> BootstrapToken | None:
    """Read a token from its Secret; None if it is none, or one that contradicts itself.

    An expiry that cannot be read has passed. A secret in no token's form signs, but admits nobody.
    """
    if secret.get("type") != SECRET_TYPE:
        return None
    data = {key: _decoded(value) for key, value in (secret.get("data") or {}).items()}
    token_id, value = data.get("token-id", ""), data.get("token-secret", "")
    if not _ID.fullmatch(token_id) or not value or objects.name(secret) != NAME_PREFIX + token_id:
        return None
    usages = frozenset(
        use for use in (AUTHENTICATION, SIGNING) if data.get(f"usage-bootstrap-{use}") == "true"
    )
    groups = tuple(name for name in data.get("auth-extra-groups", "").split(",") if _GROUP.fullmatch(name))
    expires = _expiry(data.get("expiration", ""))
    return BootstrapToken(token_id, value, expires, usages, groups, data.get("description", ""))


def to_secret(token: BootstrapToken) -> dict[str, Any]:
    """Build the Secret that makes a token known to the cluster."""
    data = {
        "token-id": token.token_id,
        "token-secret": token.secret,
        **{f"usage-bootstrap-{use}": "true" for use in sorted(token.usages)},
    }
    if token.expires is not None:
        data["expiration"] = timestamps.format_time(token.expires)
    if token.groups:
        data["auth-extra-groups"] = ",".join(token.groups)
    if token.description:
        data["description"] = token.description
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME_PREFIX + token.token_id, "namespace": NAMESPACE},
        "type": SECRET_TYPE,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def sign(content: str, token_id: str, secret: str) -> str:
    """Sign content as a JWS whose payload is detached (HS256)."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    return f"{header}..{_mac(header, content, secret)}"


def is_signed(signature: str, content: str, token_id: str, secret: str) -> bool:
    """Tell whether signature is that of content by this token."""
    header, _, rest = signature.partition(".")
    payload, _, mac = rest.partition(".")
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except ValueError:
        return False
    if (
        payload
        or not isinstance(fields, dict)
        or (fields.get("alg"), fields.get("kid")) != ("HS256", token_id)
    ):
        return False
    return hmac.compare_digest(mac.encode(), _mac(header, content, secret).encode())


def signatures(content: str, tokens: Mapping[str, BootstrapToken], now: float) -> dict[str, str]:
    """Return the signatures that belong beside content: one for each token that signs and lives."""
    return {
        SIGNATURE_PREFIX + token.token_id: sign(content, token.token_id, token.secret)
        for token in tokens.values()
        if SIGNING in token.usages and not token.is_expired(now)
    }


def _mac(header: str, content: str, secret: str) -> str:
    signed = f"{header}.{_base64url(content.encode())}".encode()
    return _base64url(hmac.new(secret.encode(), signed, hashlib.sha256).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _expiry(text: str) -> float | None:
    if not text:
        return None
    try:
        return timestamps.parse(text)
    except ValueError:
        return 0.0
