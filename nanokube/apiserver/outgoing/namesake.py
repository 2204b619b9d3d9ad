"""Certificates of servers that bear the very name of their authority, as knative.dev/pkg/webhook makes them.

OpenSSL takes one for self-signed (issuer and subject are alike, no key identifier tells more) and refuses it
without looking at the authority; Go looks for whoever made the signature. So who signed is found out here,
and the certificate itself is then believed: OpenSSL goes on to check its name, its time and its purpose.
Source: OpenSSL x509_vfy.c build_chain, v3_purp.c EXFLAG_SS; Go crypto/x509 Certificate.CheckSignatureFrom.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

ERROR: Final = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_MOST: Final = 4  # endpoints of a Service that are looked at, of those that come first
_UNDERSTOOD: Final = (x509.BasicConstraints.oid, x509.KeyUsage.oid)


def is_possible(error: Exception) -> bool:
    """Tell whether a handshake may have failed for the name only."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code == ERROR


async def learn(
    context: ssl.SSLContext, authority: str, host: str, places: Sequence[tuple[str, int]]
) -> bool:
    """Have the context believe what servers at some places show, if the authority (PEM) signed it.

    Tells whether there was any. Raises OSError, ValueError.
    """
    now = datetime.datetime.now(datetime.UTC)
    shown = [await _shown(host, *place) for place in places[:_MOST]]
    found = [each for each in shown if is_vouched(each, authority, now)]
    for each in found:
        context.load_verify_locations(cadata=each)
    return bool(found)


def is_vouched(certificate: bytes, authority: str, now: datetime.datetime) -> bool:
    """Tell whether an authority of the same name signed a certificate (DER). Pure. Raises ValueError."""
    leaf = x509.load_der_x509_certificate(certificate)
    signers = x509.load_pem_x509_certificates(authority.encode()) if authority else []
    return leaf.issuer == leaf.subject and any(_has_signed(signer, leaf, now) for signer in signers)


def _has_signed(signer: x509.Certificate, leaf: x509.Certificate, now: datetime.datetime) -> bool:
    if not (signer.not_valid_before_utc <= now <= signer.not_valid_after_utc and _may_sign(signer)):
        return False
    try:
        leaf.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _may_sign(signer: x509.Certificate) -> bool:
    """Tell of one without name constraints or policies, which are not judged here."""
    extensions = signer.extensions
    if any(each.critical and each.oid not in _UNDERSTOOD for each in extensions):
        return False
    if any(each.oid == x509.NameConstraints.oid for each in extensions):
        return False
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as err:
        return err.oid == x509.KeyUsage.oid


async def _shown(host: str, address: str, port: int) -> bytes:
    """Look at the certificate (DER) that a server shows for a name; nothing is sent to it."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(address, port, ssl=anyone, server_hostname=host)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return bytes(shown or b"")
