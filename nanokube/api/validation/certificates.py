"""Validation of CertificateSigningRequests. Pure. Source: pkg/apis/certificates/validation/validation.go."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import conditions, formats, names

_LEGACY_SIGNER: Final = "kubernetes.io/legacy-unknown"
_MIN_EXPIRATION_S: Final = 600
_BEGIN: Final = "-----BEGIN CERTIFICATE REQUEST-----"
_BLOCK: Final = re.compile("-----BEGIN ([^-]*)-----\n(.*?)-----END \\1-----", re.DOTALL)
_STATUSES: Final = ("False", "True", "Unknown")
_ONLY_TRUE: Final = ("Approved", "Denied", "Failed")
_JUDGED: Final = ("Approved", "Denied")
USAGES: Final = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system",
    "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc",
    "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip


def validate(obj: Object) -> list[FieldError]:
    """Check a CertificateSigningRequest."""
    spec = objects.spec(obj)
    request, usages = spec.get("request") or "", spec.get("usages") or []
    problem = _request_problem(request)
    found = [field.invalid("spec.request", spec.get("request"), problem)] if problem else []
    if not usages:
        found.append(field.required("spec.usages"))
    for index, usage in enumerate(usages):
        found += formats.choice(usage, USAGES, f"spec.usages[{index}]")
    for index, usage in enumerate(usages):
        if usage in usages[:index]:
            found.append(field.duplicate(f"spec.usages[{index}]", usage))
    found += _signer(spec.get("signerName") or "", "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_EXPIRATION_S:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        found.append(field.invalid("spec.expirationSeconds", seconds, detail))
    return found


def _request_problem(text: str) -> str:
    """Say what is wrong with a PEM request in base64, or ""."""
    try:
        pem = base64.b64decode(text)
        if _BEGIN.encode() not in pem:
            return "PEM block type must be CERTIFICATE REQUEST"
        parsed = x509.load_pem_x509_csr(pem)
        return "" if parsed.is_signature_valid else "x509: signature verification failed"
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return str(error)


def _signer(name: str, path: str) -> list[FieldError]:
    if not name:
        return [field.required(path)]
    if name == _LEGACY_SIGNER:
        detail = "the legacy signerName is not allowed via this API version"
        return [field.invalid(path, name, detail)]
    if name.count("/") != 1:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [field.invalid(path, name, detail)]
    domain, _, rest = name.partition("/")
    found = [field.too_long(path, names.MAX_SUBDOMAIN)] if len(domain) > names.MAX_SUBDOMAIN else []
    found += _labels(domain, names.dns_label, path)
    if "." not in domain:
        detail = "should be a domain with at least two segments separated by dots"
        found.append(field.invalid(path, domain, detail))
    found += _labels(rest, names.dns_subdomain, path)
    longest = 2 * names.MAX_SUBDOMAIN + names.MAX_LABEL + 2
    return [*found, field.too_long(path, longest)] if len(name) > longest else found


def _labels(text: str, check: Any, path: str) -> list[FieldError]:
    """Check the parts between dots, up to the first bad one."""
    for label in text.split("."):
        messages = check(label)
        if messages:
            return [
                field.invalid(path, text, f"validating label {field.quote(label)}: {m}") for m in messages
            ]
    return []


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the status that a signer writes: judgements stay, a certificate is set once."""
    found = _status(new)
    for kind in _ONLY_TRUE:
        after, before = _of_type(new, kind), _of_type(old, kind)
        if len(after) < len(before):
            found.append(_forbidden(f'updates may not remove a condition of type "{kind}"'))
        elif kind in _JUDGED and len(after) > len(before):
            found.append(_forbidden(f'updates may not add a condition of type "{kind}"'))
        elif kind in _JUDGED and after != before:
            found.append(_forbidden(f'updates may not modify a condition of type "{kind}"'))
    certificate, was = (objects.status(o).get("certificate") or "" for o in (new, old))
    if was and certificate != was:
        detail = "updates may not modify existing certificate content"
        found.append(field.forbidden("status.certificate", detail))
    problem = _certificate_problem(certificate) if certificate != was else ""
    if problem:
        found.append(field.invalid("status.certificate", "<certificate data>", problem))
    return found


def validate_approval(new: Object, old: Object) -> list[FieldError]:
    """Check the conditions that an approver writes: none is taken back, one of the two is chosen."""
    found = _status(new)
    for kind in _ONLY_TRUE:
        if len(_of_type(new, kind)) < len(_of_type(old, kind)):
            found.append(_forbidden(f'updates may not remove a condition of type "{kind}"'))
    return found


def _status(obj: Object) -> list[FieldError]:
    found, path, seen = list[FieldError](), "status.conditions", set[str]()
    for index, condition in enumerate(objects.conditions(obj)):
        kind, status, where = condition.get("type") or "", condition.get("status") or "", f"{path}[{index}]"
        if not kind:
            found.append(field.required(f"{where}.type"))
        if not status:
            found.append(field.required(f"{where}.status"))
        else:
            found += formats.choice(status, ("True",) if kind in _ONLY_TRUE else _STATUSES, f"{where}.status")
        if kind in _JUDGED and seen & (set(_JUDGED) - {kind}):
            found.append(field.invalid(path, kind, "Approved and Denied conditions are mutually exclusive"))
        seen.add(kind)
    return found + conditions.unique(objects.conditions(obj), path)


def _of_type(obj: Object, kind: str) -> list[Object]:
    return [c for c in objects.conditions(obj) if c.get("type") == kind]


def _forbidden(detail: str) -> FieldError:
    return field.forbidden("status.conditions", detail)


def _certificate_problem(text: str) -> str:
    """Say what is wrong with PEM certificates in base64, or ""; text around the blocks is fine."""
    if not text:
        return ""
    try:
        pem = base64.b64decode(text).decode(errors="replace")
        blocks = list(_BLOCK.finditer(pem.replace("\r", "")))
        for block in blocks:
            problem = _block_problem(block[1], block[2].splitlines())
            if problem:
                return problem
            x509.load_pem_x509_certificate(block[0].encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        return str(error)
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _block_problem(kind: str, lines: Iterable[str]) -> str:
    if kind != "CERTIFICATE":
        return f"only CERTIFICATE PEM blocks are allowed, found {field.quote(kind)}"
    return "no PEM block headers are permitted" if any(":" in line for line in lines) else ""
