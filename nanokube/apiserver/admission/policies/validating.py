"""ValidatingAdmissionPolicy: expressions judge the final object.

Source: staging apiserver pkg/admission/plugin/policy/validating/{dispatcher,validator}.go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson

from nanokube.api import errors
from nanokube.api.cel import types
from nanokube.api.cel.environment import MAX_MESSAGE_BYTES, RUNTIME_BUDGET
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.subject import Subject
from nanokube.apiserver.admission.matching.values import BOOL, Budget, Value, Values
from nanokube.apiserver.admission.policies.matched import Match
from nanokube.apiserver.admission.policies.plan import Plan
from nanokube.apiserver.admission.policies.plugin import PolicyPlugin
from nanokube.apiserver.admission.policies.policy import Policy, Validation

MAX_ANNOTATION_CHARS: Final = 10 * 1024
_FAILURE: Final = "validation.policy.admission.k8s.io/validation_failure"
_TEXT: Final = (types.STRING,)
_TEXT_OR_NULL: Final = (types.STRING, types.NULL)
_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """One expression's refusal. index: which one. error: it could not be evaluated."""

    index: int
    message: str
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """The first of these is the answer."""

    policy: str
    binding: str
    message: str
    reason: str = ""


class ValidatingPolicies(PolicyPlugin):
    """Before webhooks, which are the dearer ones to ask."""

    name: ClassVar[str] = "ValidatingAdmissionPolicy"

    async def validate(self, attributes: Attributes) -> None:
        """Evaluate what is about the request. Raises ApiError."""
        plan = await self._plan(attributes)
        if not plan:
            return
        with self._subject(attributes) as subject:
            await self._judge(plan, subject)

    async def _judge(self, plan: Plan, subject: Subject) -> None:
        attributes = subject.attributes
        denials: list[Denial] = []
        annotations: dict[tuple[str, str], list[str]] = {}
        for match in await self._matcher.matches(plan, subject):
            if match.problem:
                if match.policy.is_fatal:
                    binding = match.binding.name if match.binding else ""
                    denials.append(Denial(match.policy.name, binding, match.problem))
                continue
            values = self._matcher.values(subject, await subject.at(match.resource))
            for param in match.params:
                denials += self._one(match, values, param, attributes, annotations)
        for (policy, key), texts in annotations.items():
            attributes.annotations[f"{policy}/{key}"] = ", ".join(texts)
        if denials:
            raise _refusal(subject, denials[0])

    def _one(
        self,
        match: Match,
        values: Values,
        param: Object | None,
        attributes: Attributes,
        annotations: dict[tuple[str, str], list[str]],
    ) -> list[Denial]:
        """Ask a policy with one parameter."""
        policy = match.policy
        assert match.binding is not None
        started = time.perf_counter()
        outcome = self._matcher.holds(match, values, param)
        if outcome.error:
            return self._enforce(
                match, [Decision(0, outcome.error, error=outcome.error)], attributes, started
            )
        if not outcome.holds:
            return []
        denials = self._enforce(match, judge(policy, values, param), attributes, started)
        for key, text, error in annotate(policy, values, param):
            if error:
                self._count(match, error, "deny", started)
                denials.append(Denial(policy.name, match.binding.name, error))
                continue
            texts = annotations.setdefault((policy.name, key), [])
            if text not in texts:
                texts.append(text)
        return denials

    def _enforce(
        self, match: Match, decisions: Sequence[Decision], attributes: Attributes, started: float
    ) -> list[Denial]:
        """Do what the binding says about what a policy refuses."""
        binding, name = match.binding, match.policy.name
        assert binding is not None
        denials = []
        for decision in decisions:
            for action in binding.actions:
                self._count(match, decision.error, action.lower(), started)
                if action == "Deny":
                    denials.append(Denial(name, binding.name, decision.message, decision.reason))
                elif action == "Warn":
                    about = f"ValidatingAdmissionPolicy '{name}' with binding '{binding.name}'"
                    attributes.warnings.append(f"Validation failed for {about}: {decision.message}")
                elif action == "Audit":
                    attributes.annotations[_FAILURE] = _failure(match, decision)
        return denials

    def _count(self, match: Match, error: str, action: str, started: float) -> None:
        assert match.binding is not None
        seconds = time.perf_counter() - started
        self._counts.observe(match.policy.name, match.binding.name, error, action, seconds)


def judge(policy: Policy, values: Values, param: Object | None) -> list[Decision]:
    """List what a policy refuses."""
    budget, found = Budget(RUNTIME_BUDGET), list[tuple[int, Validation, Value]]()
    for index, validation in enumerate(policy.validations):
        value = values.evaluate(policy.scope, validation.expression, BOOL, budget, param)
        if value.is_spent:
            return [Decision(index, value.error, error=value.error)] if policy.is_fatal else []
        if value.value is not True:
            found.append((index, validation, value))
    decisions = []
    for index, validation, value in found:
        if value.error:
            if policy.is_fatal:
                decisions.append(Decision(index, value.error, error=value.error))
        else:
            message = _message(policy, validation, values, budget, param)
            decisions.append(Decision(index, message, validation.reason))
    return decisions


def _message(
    policy: Policy, validation: Validation, values: Values, budget: Budget, param: Object | None
) -> str:
    if validation.message_expression:
        scope = policy.scope
        found = values.evaluate(scope, validation.message_expression, _TEXT, budget, param)
        text = found.value.strip() if isinstance(found.value, str) else ""
        if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE_BYTES:
            return text
    return validation.message.strip() or f"failed expression: {validation.expression.strip()}"


def annotate(policy: Policy, values: Values, param: Object | None) -> Iterator[tuple[str, str, str]]:
    """Yield (key, text, error) of what a policy wants noted for audits."""
    budget = Budget(RUNTIME_BUDGET)
    for key, expression in policy.annotations:
        found = values.evaluate(policy.scope, expression, _TEXT_OR_NULL, budget, param)
        if found.error:
            if policy.is_fatal:
                yield key, "", found.error
            if found.is_spent:
                return
        elif isinstance(found.value, str) and found.value.strip():
            yield key, found.value.strip()[:MAX_ANNOTATION_CHARS], ""


def _failure(match: Match, decision: Decision) -> str:
    assert match.binding is not None
    found = {
        "message": decision.message,
        "policy": match.policy.name,
        "binding": match.binding.name,
        "expressionIndex": decision.index,
        "validationActions": list(match.binding.actions),
    }
    return orjson.dumps([found]).decode()


def _refusal(subject: Subject, denial: Denial) -> errors.ApiError:
    with_binding = f" with binding '{denial.binding}'" if denial.binding else ""
    message = f"ValidatingAdmissionPolicy '{denial.policy}'{with_binding} denied request: {denial.message}"
    found = errors.forbidden(subject.resource, subject.attributes.name, message)
    found.reason = denial.reason or "Invalid"
    found.code = _CODES.get(found.reason, 422)
    found.details["causes"] = [{"message": message}]
    return found
