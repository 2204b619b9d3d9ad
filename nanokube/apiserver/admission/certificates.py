"""Certificates: who asks, who may approve, who may sign.

Source: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction},
pkg/registry/certificates/certificates/strategy.go.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from nanokube.api import errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.authn.user import MASTERS
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision

_GROUP: Final = "certificates.k8s.io"
_RESOURCE: Final = f"certificatesigningrequests.{_GROUP}"
_CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"


class Certificates(chain.Plugin):
    """The requester's identity, CertificateApproval, CertificateSigning, CertificateSubjectRestriction."""

    made_of: ClassVar[Sequence[str]] = ()

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return resource == _RESOURCE

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Write down who asks: the server's word, not the client's."""
        a = attributes
        if a.resource.name != _RESOURCE or a.operation != chain.CREATE or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        spec["username"], spec["groups"] = a.user.name, list(a.user.groups)
        for key, value in (("uid", a.user.uid), ("extra", {k: list(v) for k, v in a.user.extra})):
            spec.pop(key, None)
            if value:
                spec[key] = value

    async def validate(self, attributes: chain.Attributes) -> None:
        """Ask for `approve` and `sign`; refuse the masters' group."""
        a = attributes
        if a.resource.name != _RESOURCE or a.obj is None:
            return
        signer = (a.obj.get("spec") or {}).get("signerName") or ""
        if a.operation == chain.CREATE and signer == _CLIENT_SIGNER:
            _check_subject(a, a.obj)
        elif a.subresource == "approval":
            self._require(a, "approve", signer)
        elif a.subresource == "status" and _signed(a.obj) != _signed(a.old or {}):
            self._require(a, "sign", signer)

    def _require(self, a: chain.Attributes, verb: str, signer: str) -> None:
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            question = Attributes(a.user, verb, _GROUP, "*", "signers", "", "", name)
            if self._authorizer.authorize(question)[0] is Decision.ALLOW:
                return
        cause = f'user not permitted to {verb} requests with signerName "{signer}"'
        raise errors.forbidden(a.resource, a.name, cause)


def _signed(obj: Mapping[str, Any]) -> tuple[Any, Any]:
    status = obj.get("status") or {}
    failed = [c for c in status.get("conditions") or () if c.get("type") == "Failed"]
    return status.get("certificate"), failed


def _check_subject(a: chain.Attributes, obj: Mapping[str, Any]) -> None:
    try:
        pem = base64.b64decode((obj.get("spec") or {}).get("request") or "")
        subject = x509.load_pem_x509_csr(pem).subject
    except ValueError as err:
        raise errors.forbidden(a.resource, a.name, f"unable to parse csr: {err}") from err
    groups = [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if MASTERS in groups:
        cause = f"use of {_CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
        raise errors.forbidden(a.resource, a.name, cause)
