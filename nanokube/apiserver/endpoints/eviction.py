"""pods/eviction: delete a Pod unless a disruption budget forbids it now.

Source: pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import errors, objects, resources, selectors
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.endpoints import respond, subresources
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import call as calls
from nanokube.apiserver.registry import delete as deleting
from nanokube.apiserver.registry import update as updating
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.kit.http.message import Answer

BUDGETS: Final = "poddisruptionbudgets.policy"
MAX_DISRUPTED: Final = 2000
_DISRUPTION: Final = "Cannot evict pod as it would violate the pod's disruption budget."


async def evict(scope: Scope) -> Answer:
    """Delete a Pod as its eviction asks, if its budget allows. Raises ApiError (429)."""
    call, form = scope.call(), scope.form()
    body = scope.decode(call, "policy", "v1", "Eviction", twin="policy/v1beta1")
    scope.check_namespace(body)
    if objects.name(body) != call.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    asked = body.get("deleteOptions") or {}
    if scope.request.query.getall("dryRun"):
        asked = {**asked, "dryRun": scope.request.query.getall("dryRun")}
    options, is_dry_run = calls.delete_options(scope.request.query, asked)
    call.is_dry_run = call.is_dry_run or is_dry_run
    await subresources.ask(scope, call, call.name, body)
    call.subresource, call.is_consequence = "", True
    pod = scope.registry.get(call).object()
    if not _ignores_budgets(pod):
        await _spend(scope, call, pod)
    if not call.is_dry_run:
        options = await _mark(scope, call, options)
    await deleting.delete(scope.registry, call, options)
    status = respond.success("", "", "")
    return respond.document(scope.request, status, form, 201, warnings=call.warnings)


async def _mark(scope: Scope, call: Call, options: DeleteOptions) -> DeleteOptions:
    """Tell in the Pod's status why it ends (Jobs ask); give the options for the object as it is then."""

    def change(live: dict[str, Any]) -> dict[str, Any]:
        deleting.check_preconditions(call, live, options)
        conditions = [c for c in objects.conditions(live) if c.get("type") != "DisruptionTarget"]
        was = objects.condition(live, "DisruptionTarget") or {}
        since = was.get("lastTransitionTime") if was.get("status") == "True" else None
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": since or scope.registry.now(),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        return {**live, "status": {**objects.status(live), "conditions": [*conditions, target]}}

    own = Call(OWN, call.resource, call.namespace, call.name, "status", manager="kube-apiserver")
    marked = await updating.update(scope.registry, own, change)
    if options.resource_version:
        return dataclasses.replace(options, resource_version=str(marked.revision))
    return options


def _ignores_budgets(pod: Mapping[str, Any]) -> bool:
    phase = objects.status(pod).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or objects.is_deleting(pod)


async def _spend(scope: Scope, call: Call, pod: Mapping[str, Any]) -> None:
    """Take one disruption from the Pod's budget, if it has one."""
    cache = scope.registry.caches.of(BUDGETS)
    budgets = [b for item in cache.scan(call.namespace) if _selects(b := item.object(), pod)]
    if not budgets:
        return
    if len(budgets) > 1:
        cause = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise errors.ApiError("InternalError", 500, cause)
    budget, name = budgets[0], objects.name(budgets[0])
    if not objects.is_condition_true(pod, "Ready") and _may_go_unready(budget):
        return
    own = Call(OWN, resources.get(BUDGETS), call.namespace, name, "status", call.is_dry_run, "kube-apiserver")
    now = scope.registry.now()

    def change(live: dict[str, Any]) -> dict[str, Any]:
        status = dict(live.get("status") or {})
        _check(live, status, name)
        status["disruptionsAllowed"] = (status.get("disruptionsAllowed") or 0) - 1
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), objects.name(pod): now}
        return {**live, "status": status}

    await updating.update(scope.registry, own, change)


def _selects(budget: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    selector = objects.spec(budget).get("selector")
    return selector is not None and selectors.from_object(selector).matches(objects.labels(pod))


def _may_go_unready(budget: Mapping[str, Any]) -> bool:
    """A Pod that is not ready adds nothing to a budget that is met without it, or that never counts it."""
    status = objects.status(budget)
    if objects.spec(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return (status.get("currentHealthy") or 0) >= (status.get("desiredHealthy") or 0) > 0


def _check(budget: Mapping[str, Any], status: Mapping[str, Any], name: str) -> None:
    if (status.get("observedGeneration") or 0) < objects.generation(budget):
        cause = f"The disruption budget {name} is still being processed by the server."
        raise _too_many(cause, retry_after_s=10)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise errors.forbidden(resources.get(BUDGETS), name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or ()) > MAX_DISRUPTED:
        cause = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden(resources.get(BUDGETS), name, cause)
    if allowed == 0:
        needed, healthy = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
        cause = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
        raise _too_many(cause, retry_after_s=0)


def _too_many(cause: str, *, retry_after_s: int) -> errors.ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    return errors.ApiError("TooManyRequests", 429, _DISRUPTION, details)
