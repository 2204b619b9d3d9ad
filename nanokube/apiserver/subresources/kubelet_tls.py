"""TLS towards kubelets."""

import ssl
from pathlib import Path


def client_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Show our client certificate; trust a kubelet whose certificate names the address that we dial.

    Blocks; raises OSError, ssl.SSLError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context
