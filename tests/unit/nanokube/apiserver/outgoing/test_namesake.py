"""Servers whose certificates bear their authority's own name, as those of Tekton's and Knative's webhooks."""

from __future__ import annotations

import base64
import datetime
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nanokube.apiserver.outgoing import namesake
from nanokube.apiserver.outgoing.client import CallFailed, Client
from nanokube.kit import pki
from tests.unit.nanokube.apiserver.hookserver import serving

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.default.svc")])
KEY, OTHER, THIRD, LEAF = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))


def certificate(
    key: Any, signer: Any, *extensions: tuple[x509.ExtensionType, bool], days: int = 1
) -> x509.Certificate:
    """Make one for a key, of which only the signature tells who signed it."""
    builder = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY * days - DAY / 2)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def leaf(host: str = "127.0.0.1", signer: Any = KEY) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    return certificate(LEAF, signer, (x509.BasicConstraints(False, None), True), (names, False))


CA = (x509.BasicConstraints(True, None), True)
BOUND = (x509.NameConstraints([x509.DNSName("example.com")], None), False)
ROOT = certificate(KEY, KEY, CA)


@pytest.mark.parametrize(
    ("shown", "root", "is_believed"),
    [
        (leaf(), ROOT, True),
        (leaf(signer=OTHER), ROOT, False),
        (leaf("127.0.0.2"), ROOT, False),  # signed, but for another host
        (leaf(), certificate(OTHER, OTHER, CA), False),
        (leaf(), certificate(KEY, KEY, CA, days=0), False),
        (leaf(), certificate(KEY, KEY), False),  # no authority
        (leaf(), certificate(KEY, KEY, CA, BOUND), False),
    ],
)
async def test_who_signed_counts(shown: x509.Certificate, root: x509.Certificate, is_believed: bool) -> None:
    key = LEAF.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    client = Client(lambda namespace, name, port: [])
    async with serving(lambda r: b"fine", pair=pki.KeyPair(pem(shown), key)) as server:
        bundle = base64.b64encode(pem(certificate(THIRD, THIRD, CA), root)).decode()
        config = {"url": server.config["url"], "caBundle": bundle}
        if is_believed:
            assert await client.post(config, b"{}", 2) == b"fine"
            assert await client.post(config, b"{}", 2) == b"fine"
            assert server.connections == 1
        else:
            with pytest.raises(CallFailed, match="certificate"):
                await client.post(config, b"{}", 2)
            assert server.requests == []
    await client.close()


def test_without_a_bundle_nobody_vouches() -> None:
    assert not namesake.is_vouched(leaf().public_bytes(serialization.Encoding.DER), "", NOW)
