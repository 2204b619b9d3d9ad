"""Validation of admission webhook configurations, and of the rules that policies share with them. Pure.

Source: pkg/apis/admissionregistration/validation/validation.go, apiserver/pkg/util/webhook/validation.go.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from nanokube.api import field
from nanokube.api.cel.admission import Scope
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import expressions, formats, metadata, names

FAILURE_POLICIES: Final = ("Fail", "Ignore")
MATCH_POLICIES: Final = ("Equivalent", "Exact")
REINVOCATIONS: Final = ("IfNeeded", "Never")
MAX_CONDITIONS: Final = 64
_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_REVIEWS: Final = ("v1", "v1beta1")
_URL_FORM: Final = "; desired format: https://host[/path]"


def validate(obj: Object) -> list[FieldError]:
    """Check a ValidatingWebhookConfiguration or MutatingWebhookConfiguration."""
    found, seen = list[FieldError](), set[str]()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", hook.get("name") or ""
        found += _hook(hook, path)
        found += _reviews(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")
        if name and name in seen:
            found.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
    return found


def _hook(hook: Object, path: str) -> list[FieldError]:
    found = formats.fully_qualified_name(hook.get("name") or "", f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or ()):
        found += rule_with_operations(rule, f"{path}.rules[{index}]")
    found += formats.optional_choice(hook.get("failurePolicy"), FAILURE_POLICIES, f"{path}.failurePolicy")
    found += formats.optional_choice(hook.get("matchPolicy"), MATCH_POLICIES, f"{path}.matchPolicy")
    if hook.get("sideEffects") is None:
        detail = f"must specify one of {', '.join(_SIDE_EFFECTS)}"
        found.append(field.required(f"{path}.sideEffects", detail))
    else:
        found += formats.choice(hook["sideEffects"], _SIDE_EFFECTS, f"{path}.sideEffects")
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(field.invalid(f"{path}.timeoutSeconds", seconds, detail))
    for key in ("namespaceSelector", "objectSelector"):
        found += metadata.label_selector(hook.get(key), f"{path}.{key}")
    policy = hook.get("reinvocationPolicy")
    found += formats.optional_choice(policy, REINVOCATIONS, f"{path}.reinvocationPolicy")
    found += _client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    return found + match_conditions(hook.get("matchConditions") or (), f"{path}.matchConditions")


def _client(config: Object, path: str) -> list[FieldError]:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [field.required(path, "exactly one of url or service is required")]
    if url is not None:
        return webhook_url(url, f"{path}.url")
    assert service is not None
    return webhook_service(service, f"{path}.service", is_swapped=True)


def webhook_url(text: str, path: str) -> list[FieldError]:
    """Check where a webhook is called."""
    try:
        url = urlsplit(text)
    except ValueError as error:
        return [field.required(path, f"url must be a valid URL: {error}{_URL_FORM}")]
    found: list[FieldError] = []
    user, at, address = url.netloc.rpartition("@")
    if url.scheme != "https":
        detail = f"'https' is the only allowed URL scheme{_URL_FORM}"
        found.append(field.invalid(path, url.scheme, detail))
    if not address:
        found.append(field.invalid(path, "", f"host must be specified{_URL_FORM}"))
    if at:
        found.append(field.invalid(path, user, "user information is not permitted in the URL"))
    if url.fragment:
        found.append(field.invalid(path, url.fragment, "fragments are not permitted in the URL"))
    if url.query:
        found.append(field.invalid(path, url.query, "query parameters are not permitted in the URL"))
    return found


def webhook_service(service: Object, path: str, *, is_swapped: bool = False) -> list[FieldError]:
    """Check the Service of a webhook.

    is_swapped: admission webhooks are reported with namespace and name the wrong way round, as upstream does,
    whose caller passes them in the other order.
    """
    other = {"name": "namespace", "namespace": "name"}
    found = [
        field.required(f"{path}.{key}")
        for key in ("name", "namespace")
        if not service.get(other[key] if is_swapped else key)
    ]
    port = service.get("port") or 0
    found += (field.invalid(f"{path}.port", port, f"port is not valid: {m}") for m in names.port_number(port))
    text = service.get("path")
    return found if text in (None, "", "/") else found + _service_path(str(text), f"{path}.path")


def _service_path(text: str, path: str) -> list[FieldError]:
    if text == "//":
        return [field.invalid(path, text, "segment[0] may not be empty")]
    found = [] if text.startswith("/") else [field.invalid(path, text, "must start with a '/'")]
    for index, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            found.append(field.invalid(path, text, f"segment[{index}] may not be empty"))
            continue
        found += (field.invalid(path, text, f"segment[{index}]: {m}") for m in names.dns_subdomain(step))
    return found


def _reviews(versions: list[str], path: str) -> list[FieldError]:
    listed = ", ".join(_REVIEWS)
    if not versions:
        return [field.required(path, f"must specify one of {listed}")]
    found, seen = list[FieldError](), set[str]()
    for index, version in enumerate(versions):
        if version in seen:
            found.append(field.invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        found += formats.each(names.dns1035_label, version, f"{path}[{index}]")
    if not seen & set(_REVIEWS):
        found.append(field.invalid(path, versions, f"must include at least one of {listed}"))
    return found


def rule_with_operations(rule: Object, path: str) -> list[FieldError]:
    """Check which operations on which resources a webhook or policy is for."""
    operations, found = rule.get("operations") or [], list[FieldError]()
    if not operations:
        found.append(field.required(f"{path}.operations"))
    found += _alone(operations, "operations", f"{path}.operations")
    for index, operation in enumerate(operations):
        found += formats.choice(operation, _OPERATIONS, f"{path}.operations[{index}]")
    for key, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(key) or []
        if not values:
            found.append(field.required(f"{path}.{key}"))
        found += _alone(values, what, f"{path}.{key}")
    for index, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            found.append(field.required(f"{path}.apiVersions[{index}]"))
    found += _resources(rule.get("resources") or [], f"{path}.resources")
    return found + formats.optional_choice(rule.get("scope"), _SCOPES, f"{path}.scope")


def _alone(values: list[str], what: str, path: str) -> list[FieldError]:
    if len(values) > 1 and "*" in values:
        return [field.invalid(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _resources(values: list[str], path: str) -> list[FieldError]:
    found = [] if values else [field.required(path)]
    with_any_sub, any_with_sub, has_plain = set[str](), set[str](), False
    for index, value in enumerate(values):
        where = f"{path}[{index}]"
        if not value:
            found.append(field.required(where))
            continue
        resource, slash, sub = value.partition("/")
        if not slash:
            has_plain = value != "*"  # of the last one only, as upstream has it
            continue
        if resource in with_any_sub:
            detail = f"if '{resource}/*' is present, must not specify {value}"
            found.append(field.invalid(where, value, detail))
        if sub in any_with_sub:
            found.append(field.invalid(where, value, f"if '*/{sub}' is present, must not specify {value}"))
        if sub == "*":
            with_any_sub.add(resource)
        if resource == "*":
            any_with_sub.add(sub)
    if len(values) > 1 and "*/*" in values:
        detail = "if '*/*' is present, must not specify other resources"
        found.append(field.invalid(path, values, detail))
    if "*" in values and has_plain:
        detail = "if '*' is present, must not specify other resources without subresources"
        found.append(field.invalid(path, values, detail))
    return found


def match_conditions(conditions: Collection[Any], path: str, *, has_params: bool = False) -> list[FieldError]:
    """Check the conditions under which a webhook or policy is asked at all. has_params: `params` exists."""
    scope = Scope(has_params=has_params)
    found, seen = list[FieldError](), set[str]()
    if len(conditions) > MAX_CONDITIONS:
        found.append(field.too_many(path, len(conditions), MAX_CONDITIONS))
    for index, condition in enumerate(conditions):
        where, name = f"{path}[{index}]", condition.get("name") or ""
        expression = (condition.get("expression") or "").strip()
        if not expression:
            found.append(field.required(f"{where}.expression"))
        else:
            found += expressions.check(scope, expression, expressions.BOOL, f"{where}.expression")
        found += formats.required_name(name, names.qualified_name, f"{where}.name")
        if name and name in seen:
            found.append(field.duplicate(f"{where}.name", name))
        seen.add(name)
    return found
