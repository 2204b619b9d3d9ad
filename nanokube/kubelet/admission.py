"""Whether this node accepts a Pod bound to it. Pure.

Source: pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/sysctl/allowlist.go.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from nanokube.api import quantity, sysctls
from nanokube.kubelet.containers import build, resources
from nanokube.kubelet.status.generate import Verdict

Object = Mapping[str, Any]


def admit(
    pod: Object, others: Iterable[Object], node: Object, allowed_sysctls: Iterable[str] = ()
) -> Verdict | None:
    """Return why a Pod is refused, or None. others: Pods that were accepted and still hold resources."""
    others = list(others)
    return (
        _sysctls(pod, tuple(allowed_sysctls))
        or _operating_system(pod, node)
        or _affinity(pod, node)
        or _host_ports(pod, others)
        or _fits(pod, others, node)
    )


def admit_resize(pod: Object, others: Iterable[Object], node: Object) -> Verdict | None:
    """Return why a Pod cannot have what it asks for now; Infeasible if this node could never give it."""
    allocatable = _allocatable(node)
    for name, amount in resources.pod_requests(pod).items():
        if name in ("cpu", "memory") and amount > allocatable.get(name, amount):
            scale = 1000 if name == "cpu" else 1
            text = f"{name}, requested: {int(amount * scale)}, capacity: {int(allocatable[name] * scale)}"
            return Verdict("", "Infeasible", f"Node didn't have enough capacity: {text}")
    refusal = _fits(pod, list(others), node)
    return Verdict("", "Deferred", refusal.message) if refusal is not None else None


def _refuse(reason: str, message: str) -> Verdict:
    return Verdict("Failed", reason, message)


def _sysctls(pod: Object, allowed: tuple[str, ...]) -> Verdict | None:
    context = pod["spec"].get("securityContext") or {}
    for sysctl in context.get("sysctls") or ():
        name = sysctls.normalize(sysctl["name"])
        wild = any(p.endswith("*") and name.startswith(p[:-1]) for p in allowed)
        if name not in sysctls.SAFE and name not in allowed and not wild:
            return _refuse("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        if name.startswith("net.") and pod["spec"].get("hostNetwork"):
            return _refuse("SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host net enabled')
    return None


def _operating_system(pod: Object, node: Object) -> Verdict | None:
    wanted = (pod["spec"].get("os") or {}).get("name")
    if wanted and wanted != "linux":
        return _refuse("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    return None


def _affinity(pod: Object, node: Object) -> Verdict | None:
    labels = node["metadata"].get("labels") or {}
    spec = pod["spec"]
    plain = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    fits = not required or any(_term(t, labels, node) for t in required.get("nodeSelectorTerms") or ())
    if plain and fits:
        return None
    return _refuse(
        "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    )


def _term(term: Object, labels: Mapping[str, str], node: Object) -> bool:
    expressions, names = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not names:
        return False
    fields = {"metadata.name": node["metadata"]["name"]}
    return all(_matches(e, labels) for e in expressions) and all(_matches(e, fields) for e in names)


def _matches(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                have, than = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return have > than if operator == "Gt" else have < than
    return False


def _host_ports(pod: Object, others: list[Object]) -> Verdict | None:
    taken = [port for other in others for port in _ports(other)]
    for protocol, number, address in _ports(pod):
        for other_protocol, other_number, other_address in taken:
            overlap = address == other_address or "0.0.0.0" in (address, other_address)
            if (protocol, number) == (other_protocol, other_number) and overlap:
                return _refuse(
                    "NodePorts",
                    "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
                )
    return None


def _ports(pod: Object) -> list[tuple[str, int, str]]:
    if pod["spec"].get("hostNetwork"):
        return [
            (
                p.get("protocol") or "TCP",
                p.get("hostPort") or p["containerPort"],
                p.get("hostIP") or "0.0.0.0",
            )
            for container in pod["spec"]["containers"]
            for p in container.get("ports") or ()
        ]
    return [
        (("TCP", "UDP", "SCTP")[m.protocol], m.host_port, m.host_ip or "0.0.0.0")
        for m in build.port_mappings(pod)
    ]


def _fits(pod: Object, others: list[Object], node: Object) -> Verdict | None:
    allocatable = _allocatable(node)
    if "pods" in allocatable and len(others) + 1 > allocatable["pods"]:
        return _out_of("pods", Decimal(1), Decimal(len(others)), allocatable["pods"])
    used: dict[str, Decimal] = {}
    for other in others:
        for name, amount in resources.pod_requests(other).items():
            used[name] = used.get(name, Decimal(0)) + amount
    for name, amount in resources.pod_requests(pod).items():
        have = allocatable.get(name)
        # What the node does not know (not yet advertised devices) is left to the scheduler.
        if have is None or not amount:
            continue
        if used.get(name, Decimal(0)) + amount > have:
            return _out_of(name, amount, used.get(name, Decimal(0)), have)
    return None


def _allocatable(node: Object) -> dict[str, Decimal]:
    given = node["status"].get("allocatable") or {}
    return {name: quantity.parse(text).amount for name, text in given.items()}


def _out_of(name: str, asked: Decimal, used: Decimal, capacity: Decimal) -> Verdict:
    scale = 1000 if name == "cpu" else 1
    amounts = [int(amount * scale) for amount in (asked, used, capacity)]
    return _refuse(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {amounts[0]}, used: {amounts[1]}, "
        f"capacity: {amounts[2]}",
    )
