"""NodeRestriction: a kubelet writes what is about its own node and its own Pods, and steers nobody to itself.

The authorizer (authz/node.py) has judged names; this judges what stands in the objects.
Source: plugin/pkg/admission/noderestriction/admission.go; kubelet pkg/apis/well_known_labels.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from nanokube.api import certificate_requests, errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.service_account import MIRROR_ANNOTATION
from nanokube.apiserver.authn.user import NODE_PREFIX
from nanokube.apiserver.authz import authorizer, node

# Labels of Kubernetes' own domains that a kubelet may give its Node, beside those below KUBELET_DOMAINS.
KUBELET_LABELS: Final = frozenset(
    (
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    )
)
KUBELET_DOMAINS: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
RESTRICTED: Final = "node-restriction.kubernetes.io"
_DOMAINS: Final = ("kubernetes.io", "k8s.io")
_CLAIM_STATUS: Final = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")
_POD_CLAIMS: Final = ("resourceClaimStatuses", "extendedResourceClaimStatus")

Find = Callable[[str, str], Mapping[str, Any] | None]


class NodeRestriction(chain.Plugin):
    """find: storage name and key to the live object. authorizer: may let a node have tokens for more."""

    def __init__(self, find: Find, authorizer: authorizer.Authorizer) -> None:
        self._find = find
        self._authorizer = authorizer

    async def validate(self, attributes: chain.Attributes) -> None:
        """Refuse what reaches beyond the node."""
        a = attributes
        if not node.is_node(a.user):
            return
        if (cause := self._cause(a, a.user.name.removeprefix(NODE_PREFIX))) is not None:
            raise errors.forbidden(a.resource, a.name, cause)

    def _cause(self, a: chain.Attributes, own: str) -> str | None:
        """Say why a node may not do it; None if it may."""
        match a.full:
            case "pods" | "pods/status" | "pods/eviction":
                return self._pod(a, own)
            case full if full.startswith("pods/"):
                cause = "only 'status' and 'eviction' are allowed"
                return f'unexpected pod subresource "{a.subresource}", {cause}'
            case "nodes" | "nodes/status":
                return _node(a, own)
            case "persistentvolumeclaims/status":
                return _claim_status(a, own)
            case "serviceaccounts/token":
                return self._token(a, own)
            case "leases.coordination.k8s.io":
                if a.namespace != "kube-node-lease":
                    return 'can only access leases in the "kube-node-lease" system namespace'
                cause = "can only access node lease with the same name as the requesting node"
                return None if a.name == own else cause
            case "csinodes.storage.k8s.io":
                cause = "can only access CSINode with the same name as the requesting node"
                return None if a.name == own else cause
            case "resourceslices.resource.k8s.io":
                return _slice(a, own)
            case "certificatesigningrequests.certificates.k8s.io":
                return _signing_request(a, own)
        return None

    def _pod(self, a: chain.Attributes, own: str) -> str | None:
        if a.full == "pods" and a.operation == chain.CREATE:
            return self._mirror_pod(a.obj or {}, own)
        if a.full == "pods" and a.operation == chain.UPDATE:
            return f'unexpected operation "UPDATE", node "{own}" can only create and delete mirror pods'
        pod = a.old if a.full != "pods/eviction" else self._find("pods", f"{a.namespace}/{a.name}")
        if pod is None:
            return None  # not found, which the endpoint says
        if _spec(pod).get("nodeName") != own:
            return f'node "{own}" can only touch pods with spec.nodeName set to itself'
        if a.full != "pods/status" or a.obj is None:
            return None
        if (a.obj["metadata"].get("labels") or {}) != (pod["metadata"].get("labels") or {}):
            return f'node "{own}" cannot update labels through pod status'
        before, after = pod.get("status") or {}, a.obj.get("status") or {}
        if any((before.get(key) or None) != (after.get(key) or None) for key in _POD_CLAIMS):
            return f'node "{own}" cannot update resource claim statues'
        return None

    def _mirror_pod(self, pod: Mapping[str, Any], own: str) -> str | None:
        metadata = pod.get("metadata") or {}
        if MIRROR_ANNOTATION not in (metadata.get("annotations") or {}):
            cause = f'pod does not have "{MIRROR_ANNOTATION}" annotation, '
            return f'{cause}node "{own}" can only create mirror pods'
        if _spec(pod).get("nodeName") != own:
            return f'node "{own}" can only create pods with spec.nodeName set to itself'
        owners = metadata.get("ownerReferences") or ()
        if len(owners) > 1:
            return f'node "{own}" can only create pods with a single owner reference set to itself'
        owner = owners[0] if owners else {}
        if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", own):
            return f'node "{own}" can only create pods with an owner reference set to itself'
        if not owner.get("controller"):
            return f'node "{own}" can only create pods with a controller owner reference set to itself'
        if owner.get("blockOwnerDeletion"):
            return f'node "{own}" must not set blockOwnerDeletion on an owner reference'
        uid = ((self._find("nodes", own) or {}).get("metadata") or {}).get("uid", "")
        if owner.get("uid") != uid:
            return f"node {own} UID mismatch: expected {uid} got {owner.get('uid', '')}"
        for resource, names in node.references(pod).items():
            if names:
                return f'node "{own}" can not create pods that reference {resource}'
        return None

    def _token(self, a: chain.Attributes, own: str) -> str | None:
        spec = _spec(a.obj or {})
        ref = spec.get("boundObjectRef") or {}
        pod = self._find("pods", f"{a.namespace}/{ref.get('name', '')}") if ref.get("kind") == "Pod" else None
        if pod is None:
            return "node requested token not bound to a pod"
        if not ref.get("uid"):
            return "node requested token with a pod binding without a uid"
        if pod["metadata"]["uid"] != ref["uid"]:
            cause = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
            return cause + "The object might have been deleted and then recreated"
        if _spec(pod).get("nodeName") != own:
            return "node requested token bound to a pod scheduled on a different node"
        audiences = spec.get("audiences") or [""]
        if len(audiences) > 1:
            return "node may only request 0 or 1 audiences"
        if audiences[0] in self._audiences(pod):
            return None
        verb = "request-serviceaccounts-token-audience"
        asked = authorizer.Attributes(a.user, verb, "", "v1", audiences[0], "", a.namespace, a.name)
        if audiences[0] and self._authorizer.authorize(asked)[0] is authorizer.Decision.ALLOW:
            return None
        cause = f'audience "{audiences[0]}" not found in pod spec volume, '
        return f"{cause}{a.user.name} is not authorized to request tokens for this audience"

    def _audiences(self, pod: Mapping[str, Any]) -> Iterator[str]:
        """Yield for whom a Pod's volumes need tokens; "" is the API server itself."""
        for volume in _spec(pod).get("volumes") or ():
            for source in (volume.get("projected") or {}).get("sources") or ():
                if (token := source.get("serviceAccountToken")) is not None:
                    yield token.get("audience") or ""
            driver = self._find("csidrivers.storage.k8s.io", self._driver(pod, volume)) or {}
            for request in _spec(driver).get("tokenRequests") or ():
                yield request.get("audience") or ""

    def _driver(self, pod: Mapping[str, Any], volume: Mapping[str, Any]) -> str:
        if "csi" in volume:
            return str(volume["csi"].get("driver") or "")
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName") or ""
        if "ephemeral" in volume:
            claim = f"{pod['metadata']['name']}-{volume['name']}"
        bound = self._find("persistentvolumeclaims", f"{pod['metadata']['namespace']}/{claim}") or {}
        found = self._find("persistentvolumes", _spec(bound).get("volumeName") or "") or {}
        return str((_spec(found).get("csi") or {}).get("driver") or "")


def _spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = obj.get("spec") or {}
    return found


def _node(a: chain.Attributes, own: str) -> str | None:
    if a.name != own:
        return f'node "{own}" is not allowed to modify node "{a.name}"'
    if a.obj is None:
        return None
    old = a.old or {}
    found = ", ".join(sorted(forbidden_labels(_labels(a.obj), _labels(old))))
    if a.operation == chain.CREATE:
        return f'node "{own}" is not allowed to set the following labels: {found}' if found else None
    if (_spec(a.obj).get("taints") or []) != (_spec(old).get("taints") or []):
        return f'node "{own}" is not allowed to modify taints'
    owners = [each.get("metadata", {}).get("ownerReferences") or [] for each in (a.obj, old)]
    if owners[0] != owners[1]:
        return f'node "{own}" is not allowed to modify ownerReferences'
    return f"is not allowed to modify labels: {found}" if found else None


def _labels(obj: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = (obj.get("metadata") or {}).get("labels") or {}
    return found


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[str]:
    """Yield the labels that changed and are not a kubelet's to change. Pure."""
    for label in {**new, **old}:
        if new.get(label) == old.get(label):
            continue
        domain = label.partition("/")[0] if "/" in label else ""
        is_kubelets = label in KUBELET_LABELS or _is_below(domain, KUBELET_DOMAINS)
        if _is_below(domain, (RESTRICTED,)) or (_is_below(domain, _DOMAINS) and not is_kubelets):
            yield label


def _is_below(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def _claim_status(a: chain.Attributes, own: str) -> str | None:
    if a.obj is None or a.old is None:
        return None
    if _without_progress(a.obj) == _without_progress(a.old):
        return None
    return f'node "{own}" is not allowed to update fields other than status.quantity and status.conditions'


def _without_progress(claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return a claim without what a node reports."""
    found = dict(claim)
    found["status"] = {k: v for k, v in (claim.get("status") or {}).items() if k not in _CLAIM_STATUS}
    hidden = ("resourceVersion", "managedFields")
    found["metadata"] = {k: v for k, v in claim["metadata"].items() if k not in hidden}
    return found


def _slice(a: chain.Attributes, own: str) -> str | None:
    verb = {chain.CREATE: "create", chain.DELETE: "delete"}.get(a.operation)
    if verb is None or _spec(a.obj or a.old or {}).get("nodeName") == own:
        return None
    return f"can only {verb} ResourceSlice with the same NodeName as the requesting node"


def _signing_request(a: chain.Attributes, own: str) -> str | None:
    signers = (certificate_requests.KUBELET_CLIENT, certificate_requests.KUBELET_SERVING)
    spec = _spec(a.obj or {})
    if a.operation != chain.CREATE or spec.get("signerName") not in signers:
        return None
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or ""))
        names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError as err:
        return f"unable to parse csr: {err}"
    wanted = NODE_PREFIX + own
    return None if names == [wanted] else f"can only create a node CSR with CN={wanted}"
