"""Who may use the kubelet's server: the API server's client certificate and administrators. Pure.

There is no anonymous endpoint and no read-only port (PEERS 5.3, class 15).
"""

from nanokube.kit.http.message import Certificate, Response

APISERVER_CLIENT = "kube-apiserver-kubelet-client"
ADMINISTRATORS = "system:masters"


def refusal(certificate: Certificate | None) -> Response | None:
    """Return the answer for one who may not; None for one who may.

    certificate: verified against the cluster's CA in the handshake.
    """
    if certificate is None:
        return Response(401, b"Unauthorized", "text/plain")
    if certificate.common_name == APISERVER_CLIENT or ADMINISTRATORS in certificate.organizations:
        return None
    user = certificate.common_name
    return Response(403, f"Forbidden (user={user})\n".encode(), "text/plain")
