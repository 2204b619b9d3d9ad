"""Which nodes a Pod admits, and which taints it tolerates. Pure.

Source: component-helpers scheduling/corev1/{helpers,nodeaffinity/nodeaffinity}.go; core/v1 toleration.go.
"""

from collections.abc import Iterable, Mapping, Sequence

from nanokube.api.objects import Object

KEEPING_AWAY = ("NoSchedule", "NoExecute")


def selects(pod_spec: Object, node: str, labels: Mapping[str, str]) -> bool:
    """Tell whether nodeSelector and the required node affinity both admit a node."""
    selector = pod_spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(
        term_matches(term, node, labels) for term in required.get("nodeSelectorTerms") or ()
    )


def term_matches(term: Object, node: str, labels: Mapping[str, str]) -> bool:
    """Tell whether every requirement of a node selector term holds; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(found, labels.get(found["key"])) for found in expressions) and all(
        _holds(found, node if found["key"] == "metadata.name" else None) for found in fields
    )


def tolerates(toleration: Object, taint: Object) -> bool:
    """Tell whether a toleration covers a taint: in effect, key and value, where given."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    value, wanted = taint.get("value") or "", toleration.get("value") or ""
    if operator == "Exists":
        return True
    if operator in ("Gt", "Lt"):
        return _compare(value, wanted, operator)
    return bool(toleration.get("key")) and value == wanted


def is_tolerated(taint: Object, tolerations: Iterable[Object]) -> bool:
    """Tell whether any toleration covers the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(
    taints: Iterable[Object], tolerations: Iterable[Object], effects: Iterable[str] = KEEPING_AWAY
) -> Object | None:
    """Give the first taint of these effects that nothing covers."""
    wanted, accepted = tuple(effects), tuple(tolerations)
    return next(
        (taint for taint in taints if taint.get("effect") in wanted and not is_tolerated(taint, accepted)),
        None,
    )


def _holds(requirement: Object, value: str | None) -> bool:
    wanted: Sequence[str] = requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value is not None and value in wanted
        case "NotIn":
            return value is None or value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return _compare(value or "", wanted[0] if wanted else "", requirement["operator"])


def _compare(value: str, wanted: str, operator: str) -> bool:
    try:
        left, right = int(value), int(wanted)
    except ValueError:
        return False
    return left > right if operator == "Gt" else left < right
