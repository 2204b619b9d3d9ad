"""The quality-of-service class of a Pod. Pure. Source: pkg/apis/core/v1/helper/qos/qos.go."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from nanokube.api import quantity
from nanokube.api.objects import Object

GUARANTEED: Final = "Guaranteed"
BURSTABLE: Final = "Burstable"
BEST_EFFORT: Final = "BestEffort"
_NOTHING: Final = quantity.parse("0")


def of(pod: Object) -> str:
    """Return the class of a Pod with defaults filled in, from its spec alone."""
    spec = pod.get("spec") or {}
    if spec.get("resources") is not None:  # even if it asks for nothing, the containers' do not count
        blocks = [spec["resources"]]
    else:
        blocks = [
            c.get("resources") or {} for f in ("initContainers", "containers") for c in spec.get(f) or ()
        ]
    found = {_of_container(*_asked(b.get("requests")), *_asked(b.get("limits"))) for b in blocks}
    return found.pop() if len(found) == 1 else BURSTABLE if found else BEST_EFFORT


def _asked(amounts: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    return (amounts.get("cpu"), amounts.get("memory")) if amounts else (None, None)


@lru_cache(maxsize=4096)
def _of_container(*asked: str | None) -> str:
    """Return the class of one container, or of a Pod by its own resources. asked: requests, then limits."""
    amounts = [quantity.parse(text) if text is not None else _NOTHING for text in asked]
    amounts = [each if each.amount > 0 else _NOTHING for each in amounts]
    if all(each is _NOTHING for each in amounts):
        return BEST_EFFORT
    is_whole = _NOTHING not in amounts and amounts[:2] == amounts[2:]
    return GUARANTEED if is_whole else BURSTABLE
