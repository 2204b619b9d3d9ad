"""The downward API: values of fieldRef and resourceFieldRef. Pure.

Source: pkg/fieldpath/fieldpath.go, pkg/api/v1/resource/helpers.go, pkg/kubelet/kubelet_pods.go.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import quantity

Object = Mapping[str, Any]

_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_ESCAPES |= {'"': '\\"', "\\": "\\\\"}


class FieldError(ValueError):
    """A reference names a field that there is none of."""


def field_value(pod: Object, path: str, *, host_ips: Sequence[str], pod_ips: Sequence[str]) -> str:
    """Return the value of a fieldRef's path. Raises FieldError."""
    meta, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(match[1].partition(".")[2]) or {}).get(match[2], ""))
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(meta.get(path.partition(".")[2], ""))
        case "metadata.labels" | "metadata.annotations":
            return format_map(meta.get(path.partition(".")[2]) or {})
        case "spec.nodeName" | "spec.serviceAccountName":
            return str(spec.get(path.partition(".")[2]) or "")
        case "status.hostIP":
            return host_ips[0] if host_ips else ""
        case "status.hostIPs":
            return ",".join(host_ips)
        case "status.podIP":
            return pod_ips[0] if pod_ips else ""
        case "status.podIPs":
            return ",".join(pod_ips)
    raise FieldError(f"unsupported fieldPath: {path}")


def format_map(values: Mapping[str, str]) -> str:
    """Print labels or annotations as sorted lines key="value", quoted as Go quotes."""
    return "\n".join(f"{key}={_quoted(values[key])}" for key in sorted(values))


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def available(pod: Object, allocatable: Mapping[str, str]) -> Mapping[str, str]:
    """Return what a container without a limit of its own may use: the Pod's limit, or the node's."""
    limits = (pod["spec"].get("resources") or {}).get("limits") or {}
    limits = {
        name: limits[name] for name in ("cpu", "memory") if quantity.parse(limits.get(name) or "0").amount
    }
    return {name: limits.get(name, amount) for name, amount in allocatable.items()}


def resource_value(container: Object, reference: Object, allocatable: Mapping[str, str]) -> str:
    """Return the value of a resourceFieldRef, in units of its divisor, rounded up.

    A limit that is not set is what there is (allocatable; see `available`). Raises FieldError.
    """
    kind, _, name = str(reference["resource"]).partition(".")
    if kind not in ("limits", "requests") or not name:
        raise FieldError(f"unsupported container resource: {reference['resource']}")
    resources = container.get("resources") or {}
    text = (resources.get(kind) or {}).get(name)
    if text is None and kind == "limits":
        text = allocatable.get(name)
    amount = quantity.parse(text if text is not None else "0")
    divisor = quantity.parse(reference.get("divisor") or "1")
    if not divisor.amount:
        divisor = quantity.parse("1")
    if name == "cpu":
        return str(-(-amount.milli // divisor.milli))
    return str(-(-amount.value // divisor.value))
