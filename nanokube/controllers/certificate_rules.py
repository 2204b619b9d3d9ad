"""Which certificate requests may be signed, for how long, and when a request is old enough to go. Pure.

Source: pkg/controller/certificates/{signer/signer,cleaner/cleaner}.go, pkg/apis/certificates/helpers.go.
"""

import base64
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)

NODES = "system:nodes"
NODE_PREFIX = "system:node:"
LIFETIME_S = 365 * 24 * 3600  # kube-controller-manager --cluster-signing-duration
MIN_LIFETIME_S = 600
ENDED_KEPT_S = 3600.0
PENDING_KEPT_S = 24 * 3600.0


def parse(csr: Object) -> x509.CertificateSigningRequest:
    """Read spec.request. Raises ValueError."""
    return x509.load_pem_x509_csr(base64.b64decode(objects.spec(csr).get("request") or ""))


def is_approved(csr: Object) -> bool:
    """Tell whether a request was approved and not denied."""
    kinds = {condition["type"] for condition in objects.conditions(csr)}
    return "Approved" in kinds and "Denied" not in kinds


def is_failed(csr: Object) -> bool:
    """Tell whether a signer gave the request up."""
    return objects.is_condition_true(csr, "Failed")


def lifetime_s(csr: Object) -> int:
    """Give how long the certificate of a request lasts."""
    wanted = objects.spec(csr).get("expirationSeconds")
    return LIFETIME_S if wanted is None else min(max(int(wanted), MIN_LIFETIME_S), LIFETIME_S)


def refusal(signer: str, request: x509.CertificateSigningRequest, usages: Sequence[str]) -> str:
    """Say why a signer of the cluster does not sign this, or nothing."""
    if signer == API_CLIENT:
        return _client_usages(usages)
    if signer == KUBELET_CLIENT:
        return _kubelet_client(request, frozenset(usages))
    if signer == KUBELET_SERVING:
        return _kubelet_serving(request, frozenset(usages))
    return ""


def _client_usages(usages: Sequence[str]) -> str:
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _kubelet_client(request: x509.CertificateSigningRequest, usages: frozenset[str]) -> str:
    names = _alternative_names(request)
    if _attributes(request, NameOID.ORGANIZATION_NAME) != [NODES]:
        return "subject organization is not system:nodes"
    for kind, title in _KINDS.items():
        if any(isinstance(name, kind) for name in names):
            return f"{title} subjectAltNames are not allowed"
    return _common_name(request) or _exactly(usages, "client auth")


def _kubelet_serving(request: x509.CertificateSigningRequest, usages: frozenset[str]) -> str:
    names = _alternative_names(request)
    if _attributes(request, NameOID.ORGANIZATION_NAME) != [NODES]:
        return "subject organization is not system:nodes"
    if not any(isinstance(name, x509.DNSName | x509.IPAddress) for name in names):
        return "DNS or IP subjectAltName is required"
    for kind in (x509.RFC822Name, x509.UniformResourceIdentifier):
        if any(isinstance(name, kind) for name in names):
            return f"{_KINDS[kind]} subjectAltNames are not allowed"
    return _exactly(usages, "server auth") or _common_name(request)


def serving_refusal(csr: Object, nodes: Sequence[Object]) -> str:
    """Say why a kubelet's serving certificate is not approved unasked, or nothing. Raises ValueError.

    Upstream leaves it to people. This looks at what they would: the kubelet asks for itself,
    and for names and addresses that its Node has and no other.
    """
    request, spec = parse(csr), objects.spec(csr)
    if cause := refusal(KUBELET_SERVING, request, spec.get("usages") or ()):
        return cause
    user = spec.get("username") or ""
    if user != common_name(request) or NODES not in (spec.get("groups") or ()):
        return "a kubelet may ask for itself only"
    name = user.removeprefix(NODE_PREFIX)
    node = next((each for each in nodes if objects.name(each) == name), None)
    if node is None:
        return f"there is no Node {name}"
    wanted = {_text(each) for each in _alternative_names(request)}
    if absent := wanted - {name} - _addresses(node):
        return f"not addresses of Node {name}: {', '.join(sorted(absent))}"
    for other in nodes:
        if other is not node and (shared := wanted & ({objects.name(other)} | _addresses(other))):
            return f"Node {objects.name(other)} has them: {', '.join(sorted(shared))}"
    return ""


def _addresses(node: Object) -> set[str]:
    return {str(each.get("address")) for each in objects.status(node).get("addresses") or ()}


def _text(name: x509.GeneralName) -> str:
    return str(name.value)


_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.RFC822Name: "Email",
    x509.IPAddress: "IP",
    x509.UniformResourceIdentifier: "URI",
}


def _common_name(request: x509.CertificateSigningRequest) -> str:
    if any(name.startswith(NODE_PREFIX) for name in _attributes(request, NameOID.COMMON_NAME)):
        return ""
    return f"subject common name does not begin with {NODE_PREFIX}"


def _exactly(usages: frozenset[str], auth: str) -> str:
    if usages - {"key encipherment"} == {"digital signature", auth}:
        return ""
    return f"usages did not match {' '.join(sorted(('digital signature', 'key encipherment', auth)))}"


def _attributes(request: x509.CertificateSigningRequest, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid)]


def _alternative_names(request: x509.CertificateSigningRequest) -> Sequence[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()


def common_name(request: x509.CertificateSigningRequest) -> str:
    """Give the name that a request asks for."""
    return next(iter(_attributes(request, NameOID.COMMON_NAME)), "")


def kept_for_s(csr: Object, now: float) -> float:
    """Give the seconds for which a request is still kept; 0 or less if it is to go."""
    conditions = objects.conditions(csr)
    if not conditions:
        return _since(objects.creation_timestamp(csr), now, PENDING_KEPT_S)
    is_issued = bool(objects.status(csr).get("certificate"))
    ends = [
        _since(condition.get("lastUpdateTime") or "", now, _KEPT_S[condition["type"], is_issued])
        for condition in conditions
        if (condition["type"], is_issued) in _KEPT_S
    ]
    return min(ends, default=PENDING_KEPT_S)


# condition, whether there is a certificate -> how long the request is kept after it
_KEPT_S = {
    ("Approved", True): ENDED_KEPT_S,
    ("Approved", False): PENDING_KEPT_S,
    **{(kind, is_issued): ENDED_KEPT_S for kind in ("Denied", "Failed") for is_issued in (True, False)},
}


def _since(stamp: str, now: float, kept_s: float) -> float:
    return timestamps.parse(stamp) + kept_s - now if stamp else kept_s
