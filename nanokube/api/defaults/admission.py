"""Defaults of admission webhooks and policies. Pure.

Source: pkg/apis/admissionregistration/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any, Final

_TIMEOUT_S: Final = 10


def mutating(obj: dict[str, Any]) -> None:
    """Fill in a MutatingWebhookConfiguration."""
    for hook in obj.get("webhooks") or ():
        _fill_webhook(hook)
        hook.setdefault("reinvocationPolicy", "Never")


def validating(obj: dict[str, Any]) -> None:
    """Fill in a ValidatingWebhookConfiguration."""
    for hook in obj.get("webhooks") or ():
        _fill_webhook(hook)


def policy(obj: dict[str, Any]) -> None:
    """Fill in an admission policy."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _fill_match(spec.get("matchConstraints"))


def binding(obj: dict[str, Any]) -> None:
    """Fill in the binding of an admission policy."""
    _fill_match(obj.setdefault("spec", {}).get("matchResources"))


def _fill_webhook(hook: dict[str, Any]) -> None:
    hook.setdefault("failurePolicy", "Fail")
    hook.setdefault("matchPolicy", "Equivalent")
    hook.setdefault("namespaceSelector", {})
    hook.setdefault("objectSelector", {})
    hook.setdefault("timeoutSeconds", _TIMEOUT_S)
    service = (hook.get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    _fill_rules(hook.get("rules"))


def _fill_match(match: dict[str, Any] | None) -> None:
    if match is None:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    _fill_rules(match.get("resourceRules"))
    _fill_rules(match.get("excludeResourceRules"))


def _fill_rules(rules: list[dict[str, Any]] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def api_service(obj: dict[str, Any]) -> None:
    """Fill in an APIService's port."""
    service = obj.get("spec", {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443
