"""What is accepted, but worth a word to the client. Pure.

Source: the strategies' WarningsOnCreate and WarningsOnUpdate.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from nanokube.api import objects, quantity
from nanokube.api.custom import definition, kind
from nanokube.api.known_specs import Known
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.validation import address_warnings, pod_warnings

_DEPRECATED_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_USE_CLASS: Final = 'deprecated since v1.8; use "storageClassName" attribute instead'
_INGRESS_CLASS: Final = "kubernetes.io/ingress.class"
_MOUNTABLE: Final = "kubernetes.io/enforce-mountable-secrets"
_HINTS: Final = "service.kubernetes.io/topology-aware-hints"
_MANAGED_BY: Final = {
    "endpoints": ("endpoints.kubernetes.io/managed-by", ("endpoint-controller",)),
    "slices": (
        "endpointslice.kubernetes.io/managed-by",
        ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"),
    ),
}
_VOLUMES: Final = (
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)
_MANY_INDEXES: Final = 100_000
_MANY_PODS: Final = 10_000


def of(
    resource: Resource, new: Object, old: Object | None = None, *, known: Known | None = None
) -> list[str]:
    """Return what to say of a valid object, new or in the place of another; not of a changed status.

    known: of the spec of a Pod, if the caller has looked.
    """
    if known is not None and old is None:
        return _pod(new, known)
    if resource.custom is not None:
        return kind.finalizer_warnings(new, old)
    if resource.name == "customresourcedefinitions.apiextensions.k8s.io":
        return definition.warnings(new, old)
    check = _BY_NAME.get(resource.name)
    if check is None or (old is not None and _is_known(resource, new, old)):
        return []
    return check(new)


def _is_known(resource: Resource, new: Object, old: Object) -> bool:
    """Tell whether who wrote the old object was told all that there is to say."""
    if resource.name == "pods":
        return True
    if resource.name == "serviceaccounts":
        return _MOUNTABLE in objects.annotations(old)
    if resource.name == "csidrivers.storage.k8s.io":
        return objects.spec(new).get("tokenRequests") == objects.spec(old).get("tokenRequests")
    return resource.name in _BY_GENERATION and objects.generation(new) == objects.generation(old)


def _template(path: str) -> Callable[[Object], list[str]]:
    return lambda obj: pod_warnings.of(objects.spec(obj).get("template") or {}, path)


def _named_template(obj: Object) -> list[str]:
    return pod_warnings.name(obj) + _template("spec.template")(obj)


def _pod(obj: Object, known: Known | None = None) -> list[str]:
    return pod_warnings.name(obj, "in the Pod's hostname") + pod_warnings.of(obj, known=known)


def _stateful_set(obj: Object) -> list[str]:
    spec, found = objects.spec(obj), _template("spec.template")(obj)
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        found += pod_warnings.claim(objects.spec(claim), f"spec.volumeClaimTemplates[{index}]")
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        advice = "a negative value retains all historical revisions; a value >= 0 is recommended"
        found.append(f"spec.revisionHistoryLimit: {advice}")
    return found


def _job(obj: Object) -> list[str]:
    return pod_warnings.name(obj) + _job_spec(objects.spec(obj), "spec")


def _cron_job(obj: Object) -> list[str]:
    job = objects.spec(objects.spec(obj).get("jobTemplate") or {})
    return pod_warnings.name(obj) + _job_spec(job, "spec.jobTemplate.spec")


def _job_spec(spec: Object, path: str) -> list[str]:
    found: list[str] = []
    many = (spec.get("completions") or 0) > _MANY_INDEXES and (spec.get("parallelism") or 0) > _MANY_PODS
    if spec.get("completionMode") == "Indexed" and many:
        found.append(
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher "
            "than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes "
            "fail"
        )
    return found + pod_warnings.of(spec.get("template") or {}, f"{path}.template")


def _claim(obj: Object) -> list[str]:
    found: list[str] = []
    if _DEPRECATED_CLASS in objects.annotations(obj):
        found.append(f"metadata.annotations[{_DEPRECATED_CLASS}]: {_USE_CLASS}")
    return found + pod_warnings.claim(objects.spec(obj), "spec")


def _volume(obj: Object) -> list[str]:
    spec, found = objects.spec(obj), list[str]()
    if _DEPRECATED_CLASS in objects.annotations(obj):
        found.append(f"metadata.annotations[{_DEPRECATED_CLASS}]: {_USE_CLASS}")
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the "
            "recommended approach is to use dynamic provisioning."
        )
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    for index, term in enumerate(terms):
        where = f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]"
        found += pod_warnings.node_term(term, where, checks_values=False)
    return found + [f"spec.{shown}: {text}" for key, shown, text in _VOLUMES if spec.get(key) is not None]


def _service(obj: Object) -> list[str]:
    spec, found, external = objects.spec(obj), list[str](), objects.spec(obj).get("externalIPs") or ()
    kind_of, is_headless = spec.get("type"), spec.get("clusterIP") == "None"
    is_headless = is_headless and kind_of == "ClusterIP"
    if _HINTS in objects.annotations(obj):
        found.append(
            f"annotation {_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        )
    if is_headless:
        found += (
            ["spec.loadBalancerIP is ignored for headless services"] if spec.get("loadBalancerIP") else []
        )
        found += ["spec.externalIPs is ignored for headless services"] if external else []
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    elif spec.get("clusterIP") != "None":
        for index, address in enumerate(spec.get("clusterIPs") or ()):
            found += address_warnings.ip(address, f"spec.clusterIPs[{index}]")
    for index, address in enumerate(external):
        found += address_warnings.ip(address, f"spec.externalIPs[{index}]")
    if external and not is_headless and kind_of != "ExternalName":
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("loadBalancerIP"):
        found += address_warnings.ip(spec["loadBalancerIP"], "spec.loadBalancerIP")
    for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        found += address_warnings.cidr(text, f"spec.loadBalancerSourceRanges[{index}]")
    if kind_of == "ExternalName" and external:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind_of != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _node(obj: Object) -> list[str]:
    spec, found = objects.spec(obj), list[str]()
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for index, text in enumerate(spec.get("podCIDRs") or ()):
        found += address_warnings.cidr(text, f"spec.podCIDRs[{index}]")
    return found


def _secret(obj: Object) -> list[str]:
    """Look for a certificate and its key; that they belong together is not looked at."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    data: Mapping[str, str] = obj.get("data") or {}
    for key, said, ends in (("tls.crt", "certificate", "CERTIFICATE"), ("tls.key", "key", "PRIVATE KEY")):
        kinds = _pem_kinds(base64.b64decode(data.get(key) or ""))
        if not kinds:
            return [f"tls: failed to find any PEM data in {said} input"]
        if not any(each.endswith(ends) for each in kinds):
            shown = (
                '"CERTIFICATE" PEM block'
                if key == "tls.crt"
                else 'PEM block with type ending in "PRIVATE KEY"'
            )
            skipped = "after skipping PEM blocks of the following types"
            return [f"tls: failed to find {shown} in {said} input {skipped}: [{' '.join(kinds)}]"]
    return []


def _pem_kinds(data: bytes) -> list[str]:
    pattern = rb"(?ms)^-----BEGIN ([^\n]*)-----\s*$.*?^-----END \1-----\s*$"
    return [found.decode(errors="replace") for found in re.findall(pattern, data)]


def _driver(obj: Object) -> list[str]:
    spec = objects.spec(obj)
    if not spec.get("tokenRequests") or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    advice = "to prevent possible logging of tokens in volume attributes"
    unset = "spec.serviceAccountTokenInSecrets is unset"
    return [f"{unset}; if supported by this CSI driver, set to true {advice}"]


def _slice(obj: Object) -> list[str]:
    found: list[str] = []
    if obj.get("addressType") == "FQDN":
        found.append("spec.addressType: FQDN endpoints are deprecated")
    label, managers = _MANAGED_BY["slices"]
    if objects.labels(obj).get(label) in managers:
        return found
    for index, endpoint in enumerate(obj.get("endpoints") or ()):
        for number, address in enumerate(endpoint.get("addresses") or ()):
            found += address_warnings.ip(address, f"endpoints[{index}].addresses[{number}]")
    return found


def _endpoints(obj: Object) -> list[str]:
    label, managers = _MANAGED_BY["endpoints"]
    if objects.labels(obj).get(label) in managers:
        return []
    return [
        text
        for index, subset in enumerate(obj.get("subsets") or ())
        for key in ("addresses", "notReadyAddresses")
        for number, address in enumerate(subset.get(key) or ())
        for text in address_warnings.ip(address.get("ip") or "", f"subsets[{index}].{key}[{number}].ip")
    ]


def _ingress(obj: Object) -> list[str]:
    if _INGRESS_CLASS in objects.annotations(obj) and objects.spec(obj).get("ingressClassName") is None:
        return [f"annotation \"{_INGRESS_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _network_policy(obj: Object) -> list[str]:
    found: list[str] = []
    for way, key in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(objects.spec(obj).get(way) or ()):
            for number, peer in enumerate(rule.get(key) or ()):
                block, where = peer.get("ipBlock"), f"spec.{way}[{index}].{key}[{number}].ipBlock"
                if block is not None:
                    found += address_warnings.cidr(block.get("cidr") or "", f"{where}.cidr")
                    for place, text in enumerate(block.get("except") or ()):
                        found += address_warnings.cidr(text, f"{where}.except[{place}]")
    return found


def _quota(obj: Object) -> list[str]:
    hard, found = objects.spec(obj).get("hard") or {}, list[str]()
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        asked, most = f"requests.{name}", f"limits.{name}"
        if asked not in hard and name in ("cpu", "memory"):
            asked = name
        if asked in hard and most in hard and quantity.parse(hard[asked]) > quantity.parse(hard[most]):
            shown = f"{asked} ({hard[asked]}) should be less than {most} ({hard[most]})"
            found.append(f"ResourceQuota {shown}")
    return found


def _service_account(obj: Object) -> list[str]:
    if _MOUNTABLE not in objects.annotations(obj):
        return []
    advice = "prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; {advice}"]


def _resource_slice(obj: Object) -> list[str]:
    driver = objects.spec(obj).get("driver") or ""
    if driver == driver.lower():
        return []
    said = "driver names should be lowercase"
    return [f'spec.driver: {said}; "{driver}" contains uppercase characters']


def _storage_class(obj: Object) -> list[str]:
    return [
        f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: {pod_warnings.NODE_LABELS[key]}"
        for index, topology in enumerate(obj.get("allowedTopologies") or ())
        for number, rule in enumerate(topology.get("matchLabelExpressions") or ())
        if (key := rule.get("key")) in pod_warnings.NODE_LABELS
    ]


def _runtime_class(obj: Object) -> list[str]:
    selector = (obj.get("scheduling") or {}).get("nodeSelector") or ()
    labels = pod_warnings.NODE_LABELS
    return [f"scheduling.nodeSelector: {labels[key]}" for key in selector if key in labels]


_BY_GENERATION: Final = frozenset(
    (
        "daemonsets.apps",
        "deployments.apps",
        "jobs.batch",
        "cronjobs.batch",
        "podtemplates",
        "replicasets.apps",
        "replicationcontrollers",
        "statefulsets.apps",
    )
)
_BY_NAME: Final[Mapping[str, Callable[[Object], list[str]]]] = {
    "pods": _pod,
    "podtemplates": lambda obj: pod_warnings.of(obj.get("template") or {}, "template"),
    "deployments.apps": _named_template,
    "replicasets.apps": _named_template,
    "replicationcontrollers": _named_template,
    "daemonsets.apps": _template("spec.template"),
    "statefulsets.apps": _stateful_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "services": _service,
    "nodes": _node,
    "secrets": _secret,
    "serviceaccounts": _service_account,
    "resourcequotas": _quota,
    "endpoints": _endpoints,
    "endpointslices.discovery.k8s.io": _slice,
    "ingresses.networking.k8s.io": _ingress,
    "networkpolicies.networking.k8s.io": _network_policy,
    "csidrivers.storage.k8s.io": _driver,
    "storageclasses.storage.k8s.io": _storage_class,
    "runtimeclasses.node.k8s.io": _runtime_class,
    "resourceslices.resource.k8s.io": _resource_slice,
}
