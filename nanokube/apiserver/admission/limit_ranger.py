"""LimitRanger: defaults of requests and limits, and their bounds, in one namespace.

Source: plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from nanokube.api import errors, quantity, usage
from nanokube.api.quantity import Quantity
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup

_ANNOTATION: Final = "kubernetes.io/limit-ranger"
_KINDS: Final = (("containers", "container"), ("initContainers", "init container"))


class LimitRanger(chain.Plugin):
    """lookup: to the LimitRanges."""

    made_of: ClassVar[Sequence[str]] = ("limitranges",)

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return resource in ("pods", "persistentvolumeclaims") and subresource in ("", "resize")

    def _items(self, namespace: str) -> Iterator[Mapping[str, Any]]:
        for found in self._lookup.scan("limitranges", namespace):
            yield from (found.get("spec") or {}).get("limits") or ()

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Fill in the defaults of containers."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.operation != chain.CREATE or a.obj is None:
            return
        said: list[str] = []
        for item in self._items(a.namespace):
            if item.get("type") == "Container":
                said += _fill(a.obj.setdefault("spec", {}), item)
        if said:
            annotations = a.obj["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(said)

    async def validate(self, attributes: chain.Attributes) -> None:
        """Check the bounds."""
        a = attributes
        if a.obj is None or a.operation == chain.DELETE or a.subresource not in ("", "resize"):
            return
        if a.resource.name == "pods" and (a.operation == chain.CREATE or a.subresource == "resize"):
            found = [
                m for item in self._items(a.namespace) for m in _pod_problems(a.obj.get("spec") or {}, item)
            ]
        elif a.resource.name == "persistentvolumeclaims" and not a.subresource:
            found = [m for item in self._items(a.namespace) for m in _claim_problems(a.obj, item)]
        else:
            return
        if found:
            cause = found[0] if len(found) == 1 else f"[{', '.join(dict.fromkeys(found))}]"
            raise errors.forbidden(a.resource, a.name, cause)


def _fill(spec: dict[str, Any], item: Mapping[str, Any]) -> list[str]:
    said = []
    for key, title in _KINDS:
        for container in spec.get(key) or ():
            held = container.setdefault("resources", {})
            for field, source in (("requests", "defaultRequest"), ("limits", "default")):
                own = held.get(field) or {}
                added = {n: v for n, v in sorted((item.get(source) or {}).items()) if n not in own}
                if added:
                    held[field] = {**own, **added}
                    said.append(f"{', '.join(added)} {field[:-1]} for {title} {container.get('name', '')}")
    return said


def _pod_problems(spec: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    kind = item.get("type")
    if kind == "Container":
        for key, _ in _KINDS:
            for container in spec.get(key) or ():
                held = container.get("resources") or {}
                requests, limits = usage.parse(held.get("requests")), usage.parse(held.get("limits"))
                yield from _problems("Container", item, requests, limits)
    elif kind == "Pod":
        requests, limits = usage.pod_amounts(spec, "requests"), usage.pod_amounts(spec, "limits")
        yield from _problems("Pod", item, requests, limits)


def _claim_problems(claim: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    kind = "PersistentVolumeClaim"
    if item.get("type") != kind:
        return
    requests = usage.parse(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    for name, least in usage.parse(item.get("min")).items():
        if name in requests and requests[name] < least:
            yield f"minimum {name} usage per {kind} is {least}, but request is {requests[name]}"
    for name, most in usage.parse(item.get("max")).items():
        if name in requests and most < requests[name]:
            yield f"maximum {name} usage per {kind} is {most}, but request is {requests[name]}"


def _problems(
    kind: str, item: Mapping[str, Any], requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]
) -> Iterator[str]:
    for name, least in usage.parse(item.get("min")).items():
        head = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            yield f"{head}.  No request is specified"
        elif requests[name] < least:
            yield f"{head}, but request is {requests[name]}"
        elif name in limits and limits[name] < least:
            yield f"{head}, but limit is {limits[name]}"
    for name, most in usage.parse(item.get("max")).items():
        head = f"maximum {name} usage per {kind} is {most}"
        if name not in limits:
            yield f"{head}.  No limit is specified"
        elif most < limits[name]:
            yield f"{head}, but limit is {limits[name]}"
        elif name in requests and most < requests[name]:
            yield f"{head}, but request is {requests[name]}"
    for name, ratio in usage.parse(item.get("maxLimitRequestRatio")).items():
        yield from _ratio(name, ratio, kind, requests.get(name), limits.get(name))


def _ratio(
    name: str, ratio: Quantity, kind: str, request: Quantity | None, limit: Quantity | None
) -> Iterator[str]:
    head, zero = f"{name} max limit to request ratio per {kind} is {ratio}", quantity.parse("0")
    if request is None or request == zero:
        yield f"{head}, but no request is specified or request is 0"
    elif limit is None or limit == zero:
        yield f"{head}, but no limit is specified or limit is 0"
    else:
        observed = limit.milli / request.milli
        if observed * 1000 > ratio.milli:
            yield f"{head}, but provided ratio is {observed:f}"
