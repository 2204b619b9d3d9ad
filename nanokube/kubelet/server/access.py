"""Who asks the kubelet's server, and which permissions answer a request. Pure.

There is no anonymous endpoint and no read-only port (PEERS 5.3, class 15).
Source: pkg/kubelet/server/auth.go.
"""

import dataclasses
from typing import Final

from nanokube.kit.http.message import Certificate, Response

APISERVER_CLIENT: Final = "kube-apiserver-kubelet-client"
ADMINISTRATORS: Final = "system:masters"
_VERBS: Final = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
# Paths that have a permission of their own; everything else is nodes/proxy.
_OWN: Final = {"stats": ("stats",), "metrics": ("metrics",), "logs": ("log",), "checkpoint": ("checkpoint",)}
_EITHER: Final = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Who asks, as the API server knows them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What a request needs: verb on one of these subresources of the node."""

    verb: str
    subresources: tuple[str, ...]


def of_certificate(certificate: Certificate) -> User:
    """Name who shows a certificate. certificate: verified against the cluster's CA in the handshake."""
    return User(certificate.common_name, (*certificate.organizations, "system:authenticated"))


def is_trusted(user: User) -> bool:
    """Tell whether nobody need be asked: the API server itself and administrators get by without it."""
    return user.name == APISERVER_CLIENT or ADMINISTRATORS in user.groups


def bearer_token(authorization: str) -> str:
    """Read the token out of an Authorization header; "" without one."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def question(method: str, place: str) -> Question:
    """Say what a request needs. place: the first part of its path."""
    subresources = _OWN.get(place) or ((_EITHER[place], "proxy") if place in _EITHER else ("proxy",))
    return Question(_VERBS.get(method, ""), subresources)


def unauthorized() -> Response:
    """Answer one who is nobody."""
    return Response(401, b"Unauthorized", "text/plain")


def forbidden(user: User, asked: Question) -> Response:
    """Answer one who may not."""
    subresources = " ".join(asked.subresources)
    text = f"Forbidden (user={user.name}, verb={asked.verb}, resource=nodes, subresource(s)=[{subresources}])"
    return Response(403, text.encode(), "text/plain")
