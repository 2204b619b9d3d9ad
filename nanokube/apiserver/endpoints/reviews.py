"""Reviews: answered from authentication and authorization, and not kept.

Source: pkg/registry/authentication, pkg/registry/authorization.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from nanokube.api import errors, field, timestamps
from nanokube.api.field import FieldError
from nanokube.api.resources import Resource
from nanokube.apiserver.authn.bootstrap_tokens import BootstrapTokens
from nanokube.apiserver.authn.serviceaccount import InvalidToken, Tokens
from nanokube.apiserver.authn.tokens import StaticTokens
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision
from nanokube.apiserver.authz.node import is_node
from nanokube.apiserver.authz.rbac import Rbac
from nanokube.apiserver.endpoints import negotiate, respond
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.kit.http.message import Answer

_AUTHORIZATION: Final = "authorization.k8s.io"


class Reviews:
    """The review resources."""

    def __init__(
        self,
        authorizer: Authorizer,
        rbac: Rbac,
        tokens: Tokens,
        static: StaticTokens | None,
        audience: str,
        bootstrap: BootstrapTokens,
    ) -> None:
        self._authorizer = authorizer
        self._rbac = rbac
        self._tokens = tokens
        self._static = static
        self._audience = audience
        self._bootstrap = bootstrap

    async def create(self, scope: Scope) -> Answer:
        """Answer a review posted to its resource."""
        call = scope.call()
        form = negotiate.form_of(scope.request.headers.get("accept"), False)
        body = scope.body_object(call)
        try:
            self._review(scope, body)
        except errors.ApiError as err:
            raise call.refused(err) from err.__cause__
        return respond.document(scope.request, body, form, 201, call.warnings)

    def _review(self, scope: Scope, body: dict[str, Any]) -> None:
        """Write the answer into what was posted. Raises ApiError."""
        spec = body.get("spec") or {}
        if scope.resource.group == _AUTHORIZATION and scope.resource.kind != "SelfSubjectRulesReview":
            _refuse_metadata(body, is_local=scope.resource.namespaced)
        body.setdefault("metadata", {})
        match scope.resource.kind:
            case "SelfSubjectReview":
                now = timestamps.format_time(scope.registry.clock.time())
                body["metadata"] = {"creationTimestamp": now}
                body["status"] = {"userInfo": scope.user.to_object()}
            case "TokenReview":
                body["status"] = self._token(scope, spec)
            case "SelfSubjectAccessReview":
                _refuse(list(_attribute_problems(spec)))
                body["status"] = self._access(scope.user, spec)
            case "SubjectAccessReview":
                _refuse([*_attribute_problems(spec), *_subject_problems(spec)])
                body["status"] = self._access(_subject(spec), spec)
            case "LocalSubjectAccessReview":
                found = [*_attribute_problems(spec), *_subject_problems(spec)]
                _refuse([*found, *_namespace_problems(spec, scope.info.namespace)])
                body["metadata"]["namespace"] = scope.info.namespace
                body["status"] = self._access(_subject(spec), spec)
            case "SelfSubjectRulesReview":
                body["status"] = self._rules(scope.user, spec.get("namespace") or "")
                body["spec"] = {}  # as upstream, which answers with a new object
            case kind:
                raise errors.internal(f"no answer for {kind}")

    def _token(self, scope: Scope, spec: dict[str, Any]) -> dict[str, Any]:
        token = spec.get("token") or ""
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        audiences: Sequence[str] = spec.get("audiences") or [self._audience]
        now = scope.registry.clock.time()
        user = self._static.find(token) if self._static is not None else None
        user = user or self._bootstrap.check(token, now)
        if user is not None:  # by a token that is for the API server alone
            if self._audience not in audiences:
                return {"user": {}}
            audiences = [self._audience]
        else:
            try:
                user, audiences = self._tokens.verify(token, audiences, now)
            except InvalidToken as err:
                return {"user": {}, "error": f"[invalid bearer token, {err}]"}
        return {"authenticated": True, "user": user.to_object(), "audiences": list(audiences)}

    def _access(self, user: User, spec: dict[str, Any]) -> dict[str, Any]:
        asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if asked is not None:
            attributes = Attributes(
                user,
                asked.get("verb", ""),
                asked.get("group", ""),
                asked.get("version", ""),
                asked.get("resource", "") or "*",
                asked.get("subresource", ""),
                asked.get("namespace", ""),
                asked.get("name", ""),
                field_selector=_field_selector(asked.get("fieldSelector") or {}),
            )
        else:
            path = path or {}
            attributes = Attributes(user, path.get("verb", ""), path=path.get("path", ""))
        decision, reason = self._authorizer.authorize(attributes)
        status: dict[str, Any] = {"allowed": decision is Decision.ALLOW}
        if decision is Decision.DENY:
            status["denied"] = True
        return {**status, "reason": reason} if reason else status

    def _rules(self, user: User, namespace: str) -> dict[str, Any]:
        """List what roles give a user in a namespace; for nodes that is not all."""
        if not namespace:
            raise errors.bad_request("no namespace on request")
        resource_rules, paths = [], []
        for rule in self._rbac.objects_for(user, namespace):
            if rule.get("resources"):
                kept = ("verbs", "apiGroups", "resources", "resourceNames")
                resource_rules.append({key: rule[key] for key in kept if rule.get(key)})
            if rule.get("nonResourceURLs"):
                paths.append({key: rule[key] for key in ("verbs", "nonResourceURLs")})
        status = {"resourceRules": resource_rules, "nonResourceRules": paths, "incomplete": False}
        if not is_node(user):
            return status
        cause = "node authorizer does not support user rule resolution"
        return {**status, "incomplete": True, "evaluationError": cause}


def _field_selector(asked: Mapping[str, Any]) -> str:
    """Return a selector as text, without requirements that no list can have: they narrow it only."""
    if asked.get("rawSelector"):
        return str(asked["rawSelector"])
    exact = [r for r in asked.get("requirements") or () if r.get("operator") == "In"]
    return ",".join(f"{r['key']}={r['values'][0]}" for r in exact if len(r.get("values") or ()) == 1)


def _refuse(found: list[FieldError]) -> None:
    """Refuse a review. Source: pkg/apis/authorization/validation; like it, this names no kind."""
    if found:
        raise errors.invalid(Resource("authorization.k8s.io", "v1", "", "", "", False), "", found)


def _refuse_metadata(body: Mapping[str, Any], *, is_local: bool) -> None:
    """Refuse a review that says what it is called. Raises ApiError (422)."""
    said = dict(body.get("metadata") or {})
    said.pop("managedFields", None)
    if is_local:
        said.pop("namespace", None)
    if any(said.values()):
        kept = " except for namespace" if is_local else ""
        _refuse([field.invalid("metadata", said, f"must be empty{kept}")])


def _attribute_problems(spec: Mapping[str, Any]) -> Iterator[FieldError]:
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if asked is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        yield field.invalid("spec.nonResourceAttributes", _shown(path), detail)
    if asked is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield field.invalid("spec.resourceAttributes", None, detail)
    for key in ("fieldSelector", "labelSelector"):
        if asked is not None and asked.get(key) is not None:
            yield from _selector_problems(asked[key], f"spec.resourceAttributes.{key}", key)


def _shown(path: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Path": path.get("path", ""), "Verb": path.get("verb", "")}


def _selector_problems(selector: Mapping[str, Any], path: str, key: str) -> Iterator[FieldError]:
    """Check a selector of what is asked."""
    raw, requirements = selector.get("rawSelector") or "", selector.get("requirements") or ()
    if raw and requirements:
        yield field.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        yield field.required(
            f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required"
        )
    for index, each in enumerate(requirements):
        yield from _requirement_problems(
            each, f"{path}.requirements[{index}]", is_label=key == "labelSelector"
        )


def _requirement_problems(each: Mapping[str, Any], path: str, *, is_label: bool) -> Iterator[FieldError]:
    operator, values = each.get("operator") or "", each.get("values") or ()
    if not is_label and not each.get("key"):
        yield field.required(f"{path}.key", "must be specified")
    if operator in ("In", "NotIn"):
        if not values:
            yield field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield field.forbidden(f"{path}.values", detail)
    elif is_label:
        yield field.invalid(f"{path}.operator", operator, "not a valid selector operator")
    # another operator for a field: a newer client's, which later servers may understand


def _subject_problems(spec: Mapping[str, Any]) -> Iterator[FieldError]:
    if not spec.get("user") and not spec.get("groups"):
        yield field.invalid("spec.user", "", "at least one of user or group must be specified")


def _namespace_problems(spec: Mapping[str, Any], namespace: str) -> Iterator[FieldError]:
    asked = spec.get("resourceAttributes")
    if asked is not None and asked.get("namespace", "") != namespace:
        where = "spec.resourceAttributes.namespace"
        yield field.invalid(where, asked.get("namespace", ""), "must match metadata.namespace")
    path = spec.get("nonResourceAttributes")
    if path is not None:
        yield field.invalid("spec.nonResourceAttributes", _shown(path), "disallowed on this kind of request")


def _subject(spec: dict[str, Any]) -> User:
    extra = tuple((key, tuple(values)) for key, values in (spec.get("extra") or {}).items())
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)
