"""Certificate signing requests as their askers see them: the object to send, and what became of it. Pure.

Source: certificates.k8s.io/v1; pkg/kubelet/certificate/{kubelet,bootstrap}.
"""

import base64
import hashlib
from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object

KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"
# Keys are elliptic: nothing is ever enciphered with them.
USAGES: Final = {
    KUBELET_CLIENT: ("digital signature", "client auth"),
    KUBELET_SERVING: ("digital signature", "server auth"),
}


class RequestRefused(Exception):
    """The request was denied, or its signer gave it up; the message names the cause."""


def build(request: bytes, signer: str) -> dict[str, Any]:
    """Build the object for a request in PEM; it is named after the request's content."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{hashlib.sha256(request).hexdigest()[:32]}"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": signer,
            "usages": list(USAGES[signer]),
        },
    }


def certificate(csr: Object) -> bytes | None:
    """Return the certificate that was issued, PEM; None while there is none. Raises RequestRefused."""
    for kind in ("Denied", "Failed"):
        condition = objects.condition(csr, kind)
        if condition is not None:
            cause = condition.get("message") or condition.get("reason") or "no reason given"
            raise RequestRefused(f"certificate request {objects.name(csr)} {kind.lower()}: {cause}")
    issued = objects.status(csr).get("certificate")
    return base64.b64decode(issued) if issued else None
