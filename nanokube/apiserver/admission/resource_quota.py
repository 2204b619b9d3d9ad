"""ResourceQuota: what a namespace may use is booked in the quota's status before it is used.

A controller recounts when something goes. Source: staging apiserver pkg/admission/plugin/resourcequota.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nanokube.api import errors, quantity, resources, usage
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.registry import update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

_ZERO: Final = quantity.parse("0")
_FREE: Final = ("events", "bindings")
_ON_UPDATE: Final = ("pods", "services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io")


class ResourceQuota(chain.Plugin):
    """Last of all plugins: what it books will most likely be written."""

    waits: ClassVar[bool] = True

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._registry: Registry | None = None

    def serve(self, registry: Registry) -> None:
        """Say where quotas are written."""
        self._registry = registry

    async def validate(self, attributes: chain.Attributes) -> None:
        """Book, or refuse."""
        a = attributes
        if a.obj is None or not a.namespace or not a.resource.namespaced or a.resource.name in _FREE:
            return
        is_update = a.operation == chain.UPDATE
        allowed = ("", "resize") if is_update else ("",)
        if a.subresource not in allowed or (is_update and a.resource.name not in _ON_UPDATE):
            return
        for quota in self._lookup.scan("resourcequotas", a.namespace):
            await self._one(a, a.obj, quota)

    async def _one(self, a: chain.Attributes, obj: Mapping[str, Any], quota: Mapping[str, Any]) -> None:
        if not usage.is_governed(quota, a.resource, obj):
            return
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}  # until it has them it rules nothing
        name = quota["metadata"]["name"]
        asked = usage.of(a.resource, obj)
        if a.old is not None:
            asked = usage.subtract(asked, usage.of(a.resource, a.old))
        elif a.resource.name == "pods":
            _check_said(a, obj, name, hard)
        asked = {n: v for n, v in asked.items() if n in hard and v != _ZERO}
        if not asked:
            return
        unknown = sorted(n for n in asked if n not in used)
        if unknown:
            cause = f"status unknown for quota: {name}, resources: {','.join(unknown)}"
            raise errors.forbidden(a.resource, a.name, cause)
        if a.is_dry_run:
            _book(a, quota, asked)
            return
        assert self._registry is not None
        call = Call(
            OWN, resources.get("resourcequotas"), a.namespace, name, "status", manager="kube-apiserver"
        )
        try:
            await update.update(self._registry, call, lambda live: _book(a, live, asked))
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise


def _check_said(a: chain.Attributes, obj: Mapping[str, Any], name: str, hard: Mapping[str, Any]) -> None:
    said = usage.missing(hard, obj)
    if said:
        listed = "; ".join(f"{n} for: {','.join(sorted(set(who)))}" for n, who in said.items())
        cause = f"failed quota: {name}: must specify {listed}"
        raise errors.forbidden(a.resource, a.name, cause)


def _book(a: chain.Attributes, quota: Mapping[str, Any], asked: usage.Amounts) -> dict[str, Any]:
    status = quota.get("status") or {}
    hard, used = usage.parse(status.get("hard")), usage.parse(status.get("used"))
    after = usage.add(used, asked)
    over = sorted(n for n, v in asked.items() if v > _ZERO and n in hard and hard[n] < after[n])
    if over:
        texts = [",".join(f"{n}={amounts.get(n, _ZERO)}" for n in over) for amounts in (asked, used, hard)]
        cause = "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(
            quota["metadata"]["name"], *texts
        )
        raise errors.forbidden(a.resource, a.name, cause)
    booked = {n: str(v) for n, v in after.items() if n in hard}
    return {**quota, "status": {**status, "used": booked}}
