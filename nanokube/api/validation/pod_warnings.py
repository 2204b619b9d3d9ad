"""What of valid Pods and templates is worth a word to the client. Pure.

Source: pkg/api/pod/warnings.go, pkg/api/node/util.go, pkg/api/persistentvolumeclaim/util.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nanokube.api import field, known_specs, objects, quantity
from nanokube.api.known_specs import Known
from nanokube.api.objects import Object
from nanokube.api.validation import address_warnings, containers, names
from nanokube.api.validation.virtual_paths import overlaps

NODE_LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS: Final = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
# type, as it is shown, since when deprecated, and gone
_VOLUMES: Final = (
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)
_BYTES: Final = ("memory", "ephemeral-storage")
_SECCOMP: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_USE_FIELD: Final = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_NO_PODS: Final = "a null labelSelector results in matching no pod"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def of(pod: Object, path: str = "", known: Known | None = None) -> list[str]:
    """Return what to say of a Pod, or of a template at `path`. known: of its spec, if looked for."""
    if any(map(_matters, objects.annotations(pod))):
        return _of(pod, path)
    known = known or known_specs.find(objects.spec(pod))
    if known.is_silent:
        return []
    found = _of(pod, path)
    known.is_silent = not found
    return found


def _matters(annotation: str) -> bool:
    return annotation in _ANNOTATIONS or ".security." in annotation or annotation.startswith("seccomp.")


def _of(pod: Object, path: str) -> list[str]:
    spec, annotations, prefix = objects.spec(pod), objects.annotations(pod), f"{path}." if path else ""
    at, notes = f"{prefix}spec", f"{prefix}metadata.annotations"
    found = [
        f"{at}.nodeSelector[{key}]: {NODE_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in NODE_LABELS
    ]
    found += _node_affinity(spec, f"{at}.affinity.nodeAffinity")
    found += _spread(spec, f"{at}.topologySpreadConstraints")
    found += [f"{notes}[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in annotations]
    found += _volumes(spec, f"{at}.volumes")
    found += _duplicates(spec, at)
    found += _fractions(spec.get("overhead") or {}, f"{at}.overhead")
    context = spec.get("securityContext") or {}
    if context.get("seccompProfile") is None and _SECCOMP in annotations:
        found.append(f"{notes}[{_SECCOMP}]: {_USE_FIELD}")
    for container, where in containers.every(spec, at):
        found += _annotated(container, context, annotations, notes, is_template=bool(path))
        found += _container(container, where)
    found += _ports(spec, at)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        where = f"{at}.terminationGracePeriodSeconds"
        found.append(f"{where}: must be >= 0; negative values are invalid and will be treated as 1")
    found += _pod_affinity(spec, f"{at}.affinity")
    for index, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        found += address_warnings.ip(server, f"{at}.dnsConfig.nameservers[{index}]")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        found += address_warnings.ip(alias.get("ip") or "", f"{at}.hostAliases[{index}].ip")
    return found


def name(obj: Object, said: str = "in Pod names and hostnames") -> list[str]:
    """Return what to say of a name that is no label of a host's."""
    messages = names.dns_label(objects.name(obj))
    if not messages:
        return []
    advice = "which can result in surprising behavior; a DNS label is recommended"
    return [f"metadata.name: this is used {said}, {advice}: [{' '.join(messages)}]"]


def claim(spec: Object, path: str) -> list[str]:
    """Return what to say of the spec of a claim."""
    resources, found = spec.get("resources") or {}, list[str]()
    for key in ("requests", "limits"):
        found += _fractions(resources.get(key) or {}, f"{path}.resources.{key}", ("storage",))
    return found


def node_term(term: Object, path: str, *, checks_values: bool) -> list[str]:
    """Return what to say of a term that selects nodes."""
    found: list[str] = []
    for index, rule in enumerate(term.get("matchExpressions") or ()):
        key, where = rule.get("key") or "", f"{path}.matchExpressions[{index}]"
        if key in NODE_LABELS:
            found.append(f"{where}.key: {key} is {NODE_LABELS[key]}")
        for number, value in enumerate(rule.get("values") or () if checks_values else ()):
            found += [f"{where}.values[{number}]: {value} is invalid, {m}" for m in names.label_value(value)]
    return found


def _node_affinity(spec: Object, path: str) -> list[str]:
    wanted, found = (spec.get("affinity") or {}).get("nodeAffinity") or {}, list[str]()
    for index, term in enumerate((wanted.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        found += node_term(term, f"{path}.{_REQUIRED}.nodeSelectorTerms[{index}]", checks_values=False)
    for index, term in enumerate(wanted.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}].preference"
        found += node_term(term.get("preference") or {}, where, checks_values=True)
    return found


def _pod_affinity(spec: Object, path: str) -> list[str]:
    found: list[str] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        wanted = (spec.get("affinity") or {}).get(kind) or {}
        for index, term in enumerate(wanted.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                found.append(f"{path}.{kind}.{_REQUIRED}[{index}].labelSelector: {_NO_PODS}")
        for index, term in enumerate(wanted.get(_PREFERRED) or ()):
            if (term.get("podAffinityTerm") or {}).get("labelSelector") is None:
                where = f"{path}.{kind}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector"
                found.append(f"{where}: {_NO_PODS}")
    return found


def _spread(spec: Object, path: str) -> list[str]:
    found: list[str] = []
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        key = constraint.get("topologyKey") or ""
        if key in NODE_LABELS:
            found.append(f"{path}[{index}].topologyKey: {key} is {NODE_LABELS[key]}")
        if constraint.get("labelSelector") is None:
            found.append(f"{path}[{index}].labelSelector: {_NO_PODS}")
    return found


def _volumes(spec: Object, path: str) -> list[str]:
    found, volumes = list[str](), spec.get("volumes") or ()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template is not None:
            found += claim(template.get("spec") or {}, f"{where}.ephemeral.volumeClaimTemplate.spec")
        found += [
            f"{where}.{shown}: {text}" for kind, shown, text in _VOLUMES if volume.get(kind) is not None
        ]
    return found + [text for volume in volumes for text in overlaps(volume)]


def _duplicates(spec: Object, path: str) -> list[str]:
    found: list[str] = []
    for kind, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen = set[str]()
        for index, item in enumerate(spec.get(kind) or ()):
            value = item.get(key) or ""
            if value in seen:
                found.append(f"{path}.{kind}[{index}].{key}: duplicate {key} {field.quote(value)}")
            seen.add(value)
    for index, item in enumerate(spec.get("imagePullSecrets") or ()):
        if not item.get("name"):
            found.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    return found


def _fractions(amounts: Mapping[str, Any], path: str, kinds: Iterable[str] = _BYTES) -> list[str]:
    return [
        f"{path}[{kind}]: fractional byte value {field.quote(str(amounts[kind]))} is invalid, "
        "must be an integer"
        for kind in kinds
        if kind in amounts and quantity.milli(amounts[kind]) % 1000
    ]


def _annotated(
    container: Object, context: Object, annotations: Mapping[str, Any], path: str, *, is_template: bool
) -> Iterator[str]:
    own, called = container.get("securityContext") or {}, container.get("name") or ""
    key = f"{_SECCOMP_CONTAINER}{called}"
    if own.get("seccompProfile") is None and key in annotations:
        yield f"{path}[{key}]: {_USE_FIELD}"
    key = f"{_APP_ARMOR}{called}"
    if own.get("appArmorProfile") is None and key in annotations and is_template:
        whole = context.get("appArmorProfile")
        if whole is None or whole != _profile(annotations[key]):
            yield f'{path}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _profile(annotation: str) -> dict[str, str] | None:
    kinds = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault"}
    if annotation in kinds:
        return {"type": kinds[annotation]}
    local = annotation.removeprefix("localhost/")
    return {"type": "Localhost", "localhostProfile": local} if local and local != annotation else None


def _container(container: Object, path: str) -> list[str]:
    resources = container.get("resources") or {}
    found = [
        text
        for kind in _BYTES
        for key in ("limits", "requests")
        for text in _fractions(resources.get(key) or {}, f"{path}.resources.{key}", (kind,))
    ]
    seen = set[str]()
    for index, variable in enumerate(container.get("env") or ()):
        called, value = variable.get("name") or "", variable.get("value") or ""
        ref = f"$({called})"
        extends = variable.get("valueFrom") is None and ref in value and value != ref
        if called in seen and not extends:
            hidden = f"hides previous definition of {field.quote(called)}"
            found.append(f"{path}.env[{index}]: {hidden}, which may be dropped when using apply")
        seen.add(called)
    return found


def _ports(spec: Object, path: str) -> list[str]:
    found, known = list[str](), dict[tuple[Any, Any], list[tuple[str, Object]]]()
    placed = [
        (port, f"{where}.ports[{index}]")
        for container, where in containers.every(spec, path)
        for index, port in enumerate(container.get("ports") or ())
    ]
    for port, where in placed:
        if port.get("hostIP") and not port.get("hostPort"):
            found.append(f"{where}: hostIP set without hostPort: {_in_go(port)}")
        others = known.setdefault((port.get("containerPort"), port.get("protocol")), [])
        found += [f"{where}: {text} with {other}" for other, p in others if (text := _clash(port, p))]
        others.append((where, port))
    first = dict[str, str]()
    for port, where in placed:
        called = port.get("name")
        if called and called in first:
            other = first[called]
            shown = f"duplicate port name {field.quote(called)} with {other}"
            found.append(f"{where}: {shown}, services and probes that select ports by name will use {other}")
        elif called:
            first[called] = where
    return found


def _in_go(port: Object) -> str:
    shown = {
        "Name": port.get("name") or "",
        "HostPort": port.get("hostPort") or 0,
        "ContainerPort": port.get("containerPort") or 0,
        "Protocol": port.get("protocol") or "",
        "HostIP": port.get("hostIP") or "",
    }
    return "{" + " ".join(f"{key}:{value}" for key, value in shown.items()) + "}"


def _clash(port: Object, other: Object) -> str:
    mine, its = ((p.get("hostIP") or "", p.get("hostPort") or 0) for p in (port, other))
    if mine == its:
        return "duplicate port definition"
    if not mine[1] or not its[1]:
        return "overlapping port definition"
    if mine[1] == its[1] and bool(mine[0]) != bool(its[0]):
        return "dangerously ambiguous port definition"
    return ""
