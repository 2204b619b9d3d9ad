"""Tokens without expiry, kept in Secrets of type kubernetes.io/service-account-token. Pure.

Such a token lives as long as its Secret holds it and its ServiceAccount is there. Upstream's controller
manager fills the Secrets in; here the server does (token_secrets.py), as it has the key.
Source: pkg/serviceaccount/legacy.go, pkg/controller/serviceaccount/tokens_controller.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import objects
from nanokube.apiserver.authn.user import service_account

TYPE: Final = "kubernetes.io/service-account-token"
ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
ACCOUNT_UID: Final = "kubernetes.io/service-account.uid"
ISSUER: Final = "kubernetes/serviceaccount"
_CLAIM: Final = "kubernetes.io/serviceaccount/"
_INVALID: Final = "kubernetes.io/legacy-token-invalid-since"

Sign = Callable[[Mapping[str, Any]], str]


def claims(secret: Mapping[str, Any], account: Mapping[str, Any]) -> dict[str, str]:
    """Build the claims of a Secret's token."""
    metadata = account["metadata"]
    return {
        "iss": ISSUER,
        f"{_CLAIM}namespace": metadata["namespace"],
        f"{_CLAIM}secret.name": secret["metadata"]["name"],
        f"{_CLAIM}service-account.name": metadata["name"],
        f"{_CLAIM}service-account.uid": metadata["uid"],
        "sub": service_account(metadata["namespace"], metadata["name"]),
    }


def named(found: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Read namespace, Secret, ServiceAccount and its UID of claims. Raises KeyError, ValueError."""
    keys = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    namespace, secret, account, uid = (str(found[_CLAIM + key]) for key in keys)
    if found["sub"] != service_account(namespace, account):
        raise ValueError("sub claim is invalid")
    return namespace, secret, account, uid


def says(secret: Mapping[str, Any] | None, token: str) -> bool:
    """Tell whether a Secret holds a token, and still stands by it."""
    if secret is None or objects.is_deleting(secret) or objects.labels(secret).get(_INVALID):
        return False
    held = (secret.get("data") or {}).get("token") or ""
    return bool(held) and held == _encoded(token.encode())


def filled(
    secret: dict[str, Any],
    account: Mapping[str, Any],
    authority: bytes,
    sign: Sign,
    *,
    renews: bool,
) -> dict[str, Any]:
    """Return a Secret with what it lacks: CA, namespace, token. renews: another CA is replaced."""
    data = dict(secret.get("data") or {})
    if renews or not data.get("ca.crt"):
        data["ca.crt"] = _encoded(authority)
    data["namespace"] = data.get("namespace") or _encoded(objects.namespace(secret).encode())
    data["token"] = data.get("token") or _encoded(sign(claims(secret, account)).encode())
    metadata = secret["metadata"]
    annotations = {**(metadata.get("annotations") or {}), ACCOUNT_UID: objects.uid(account)}
    return {**secret, "data": data, "metadata": {**metadata, "annotations": annotations}}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
