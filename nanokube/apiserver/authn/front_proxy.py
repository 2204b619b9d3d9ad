"""Believes the user that a front proxy names in header fields, if its certificate is for that.

The front proxies' authority is one of its own: who may sign for clients cannot make a front proxy, nor the
other way round. TLS accepts both, so who signed is looked at here.
Source: staging apiserver pkg/authentication/request/{headerrequest/requestheader,x509/x509}.go.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nanokube.api import errors
from nanokube.apiserver.authn import remote_user
from nanokube.apiserver.authn.user import User
from nanokube.kit.http.message import Certificate, Peer, Request

ALLOWED_NAMES: Final = ("front-proxy-client",)


class FrontProxies:
    """authority: PEM. Raises ValueError for what is no certificate."""

    def __init__(self, authority: bytes) -> None:
        self._authorities = x509.load_pem_x509_certificates(authority)

    def has_signed(self, peer: Peer) -> bool:
        """Tell whether a peer's certificate is of the front proxies' authority."""
        known: bool | None = peer.memo.get("front proxy")
        if known is None:
            certificate = peer.certificate
            known = certificate is not None and self._signed(certificate)
            peer.memo["front proxy"] = known
        return known

    def _signed(self, certificate: Certificate) -> bool:
        if not certificate.encoded:
            return False
        found = x509.load_der_x509_certificate(certificate.encoded)
        return any(_is_issued_by(found, each) for each in self._authorities)

    def user(self, request: Request) -> User | None:
        """Read the user that a front proxy names; None if it names nobody. Raises ApiError (401)."""
        certificate = request.peer.certificate
        if certificate is None or certificate.common_name not in ALLOWED_NAMES:
            raise errors.unauthorized()
        return remote_user.user_of(request.headers)


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
