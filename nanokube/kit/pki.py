"""X.509 certificates and keys of a cluster. No files: PEM in, PEM out.

Keys are ECDSA P-256: a handshake with them costs half of one with RSA-2048.
Source: RFC 5280; Kubernetes' "PKI certificates and requirements" for names and organizations.
"""

import dataclasses
import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
# Half of its life: whoever holds the former one has as long to come across its successor.
AUTHORITY_RENEWAL_MARGIN = datetime.timedelta(days=1825)
CERTIFICATE_LIFETIME = datetime.timedelta(days=365)
# A certificate with less left than this is issued anew at start, so that a node that is
# restarted at least once a quarter never serves an expired one.
RENEWAL_MARGIN = datetime.timedelta(days=90)
# Hosts whose clocks lag a little must accept a certificate that was just made.
CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate or public key with its private key, both PEM."""

    certificate: bytes
    key: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate names: a user (common name) in groups (organizations), at names and addresses.

    names: DNS names and IP addresses, mixed; a serving certificate has at least one.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Authority:
    """A certificate authority that signs client and serving certificates."""

    def __init__(self, pair: KeyPair) -> None:
        """Raises ValueError for a damaged pair, and for one whose halves do not belong together."""
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        self._key = _elliptic_key(pair.key)
        if self._key.public_key() != self._certificate.public_key():
            raise ValueError("its key belongs to another certificate")

    @classmethod
    def create(cls, common_name: str, now: datetime.datetime) -> "Authority":
        """Make a new self-signed authority."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        return cls._self_signed(name, ec.generate_private_key(ec.SECP256R1()), now)

    def renewed(self, now: datetime.datetime) -> "Authority":
        """Give it another life: by the same key, so that both vouch for what either has signed."""
        return self._self_signed(self._certificate.subject, self._key, now)

    def is_due(self, now: datetime.datetime) -> bool:
        """Tell whether it is time to renew it."""
        return self._certificate.not_valid_after_utc - now <= AUTHORITY_RENEWAL_MARGIN

    @classmethod
    def _self_signed(
        cls, name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
    ) -> "Authority":
        usage = _key_usage(digital_signature=True, key_cert_sign=True)
        certificate = (
            _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)))

    def issue(self, subject: Subject, now: datetime.datetime) -> KeyPair:
        """Make a key and sign its certificate, good for TLS clients and, if subject has names, servers."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(
            _name(subject), self._certificate.subject, key.public_key(), now, CERTIFICATE_LIFETIME
        ).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if subject.names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(_alternative_names(subject.names), critical=False)
        certificate = (
            builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        usages: Sequence[str],
        lifetime: datetime.timedelta,
        now: datetime.datetime,
    ) -> bytes:
        """Sign somebody else's request as it is; returns the certificate, PEM.

        usages: as certificates.k8s.io/v1 spells them ("client auth", "digital signature").
        Raises ValueError for a request that its own key did not sign, and for an unknown usage.
        """
        if not request.is_signature_valid:
            raise ValueError("the request is not signed by the key that it is for")
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise ValueError("the request is for a key of an unknown kind")
        end = min(now + lifetime, self._certificate.not_valid_after_utc) - now
        builder = _builder(request.subject, self._certificate.subject, key, now, end).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        simple = {usage.replace(" ", "_") for usage in usages if usage in _SIMPLE_USAGES}
        simple |= {_SYNONYMS[usage] for usage in usages if usage in _SYNONYMS}
        if simple:
            builder = builder.add_extension(_usage_of(simple), critical=True)
        extended = [_EXTENDED_USAGES[usage] for usage in usages if usage in _EXTENDED_USAGES]
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        for usage in usages:
            if usage not in _SIMPLE_USAGES and usage not in _SYNONYMS and usage not in _EXTENDED_USAGES:
                raise ValueError(f"unknown usage {usage}")
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        for extension in request.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def vouches_for(self, pair: KeyPair, subject: Subject, now: datetime.datetime) -> bool:
        """Tell whether pair was issued by this authority for subject and stays valid for a while."""
        try:
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            certificate.verify_directly_issued_by(self._certificate)
            key = serialization.load_pem_private_key(pair.key, password=None)
            if key.public_key() != certificate.public_key():
                return False
        except Exception:  # unreadable, or another authority's: either way it is to be replaced
            return False
        return (
            certificate.subject == _name(subject)
            and _names_of(certificate) == frozenset(subject.names)
            and certificate.not_valid_after_utc - now > RENEWAL_MARGIN
        )


# Usages of certificates.k8s.io/v1 (types.go), which are those of RFC 5280 in words.
_SIMPLE_USAGES: Final = (
    "digital signature", "content commitment", "key encipherment", "data encipherment", "key agreement",
    "crl sign", "encipher only", "decipher only",
)  # fmt: skip
_SYNONYMS: Final = {"signing": "digital_signature", "cert sign": "key_cert_sign"}
_EXTENDED_USAGES: Final = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A certificate signing request with the key it is for, both PEM."""

    request: bytes
    key: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """What a certificate says, for people and for those who decide when to renew it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    is_authority: bool


def request(subject: Subject) -> Request:
    """Make a key and a request for its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject))
    if subject.names:
        builder = builder.add_extension(_alternative_names(subject.names), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Request(pem, _private_pem(key))


def describe(certificate: bytes) -> Described:
    """Read the first certificate of a PEM file. Raises ValueError."""
    found = x509.load_pem_x509_certificate(certificate)
    try:
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        is_authority = constraints.ca
    except x509.ExtensionNotFound:
        is_authority = False
    return Described(
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        tuple(sorted(_names_of(found))),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        is_authority,
    )


def public_key_hash(certificate: bytes) -> str:
    """Return "sha256:" and the hex digest of a certificate's public key, as kubeadm prints it.

    Raises ValueError for what is no certificate.
    """
    key = x509.load_pem_x509_certificate(certificate).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def signing_pair() -> KeyPair:
    """Make the key pair that signs service account tokens (ES256); certificate holds the public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeyPair(public, _private_pem(key))


def check_signing_pair(pair: KeyPair) -> None:
    """Raise ValueError unless pair can sign tokens and verify them."""
    public = serialization.load_pem_public_key(pair.certificate)
    if _elliptic_key(pair.key).public_key() != public:
        raise ValueError("its halves do not belong together")


def _elliptic_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("it is not an elliptic curve key")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _name(subject: Subject) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in subject.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name)])


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    dns = names.get_values_for_type(x509.DNSName)
    return frozenset([*dns, *(str(ip) for ip in names.get_values_for_type(x509.IPAddress))])


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    wanted = {"digital_signature"} if digital_signature else set[str]()
    return _usage_of(wanted | ({"key_cert_sign", "crl_sign"} if key_cert_sign else set()))


def _usage_of(wanted: set[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital_signature" in wanted,
        content_commitment="content_commitment" in wanted,
        key_encipherment="key_encipherment" in wanted,
        data_encipherment="data_encipherment" in wanted,
        key_agreement="key_agreement" in wanted,
        key_cert_sign="key_cert_sign" in wanted,
        crl_sign="crl_sign" in wanted,
        # RFC 5280 gives these a meaning beside key agreement only
        encipher_only={"encipher_only", "key_agreement"} <= wanted,
        decipher_only={"decipher_only", "key_agreement"} <= wanted,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 rather than PKCS 8, in which fabric8's Java client takes every key for RSA
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
