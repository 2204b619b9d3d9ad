"""The quality-of-service class of a Pod. Pure. Source: pkg/apis/core/v1/helper/qos/qos.go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import quantity
from nanokube.api.objects import Object

GUARANTEED: Final = "Guaranteed"
BURSTABLE: Final = "Burstable"
BEST_EFFORT: Final = "BestEffort"
_COMPUTE: Final = ("cpu", "memory")


def of(pod: Object) -> str:
    """Return the class of a Pod with defaults filled in, from its spec alone."""
    spec = pod.get("spec") or {}
    if spec.get("resources"):
        blocks = [spec["resources"]]
    else:
        blocks = [
            c.get("resources") or {} for f in ("initContainers", "containers") for c in spec.get(f) or ()
        ]
    asked = [(_positive(b.get("requests")), _positive(b.get("limits"))) for b in blocks]
    if not any(requests or limits for requests, limits in asked):
        return BEST_EFFORT
    if all(limits.keys() == set(_COMPUTE) and requests == limits for requests, limits in asked):
        return GUARANTEED
    return BURSTABLE


def _positive(amounts: Mapping[str, Any] | None) -> dict[str, quantity.Quantity]:
    found = {k: quantity.parse(v) for k, v in (amounts or {}).items() if k in _COMPUTE}
    return {k: v for k, v in found.items() if v.amount > 0}
