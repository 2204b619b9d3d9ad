"""MutatingAdmissionPolicy: expressions change the object, one after the other.

Source: staging apiserver pkg/admission/plugin/policy/mutating/dispatcher.go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from nanokube.api import errors, objects
from nanokube.api.cel import admission as expressions
from nanokube.api.cel import types
from nanokube.api.cel.environment import RUNTIME_BUDGET
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.rounds import Rounds
from nanokube.apiserver.admission.matching.subject import Shown, Subject
from nanokube.apiserver.admission.matching.values import Budget
from nanokube.apiserver.admission.policies import patches
from nanokube.apiserver.admission.policies.matched import Match
from nanokube.apiserver.admission.policies.patches import CannotPatch
from nanokube.apiserver.admission.policies.plan import Plan
from nanokube.apiserver.admission.policies.plugin import PolicyPlugin
from nanokube.apiserver.admission.policies.policy import Mutation

_PATCH: Final = (types.list_of(types.JSON_PATCH),)
_CONFIGURATION: Final = (expressions.OBJECT,)
Object = Mapping[str, Any]


class MutatingPolicies(PolicyPlugin):
    """Before webhooks, which see what policies made."""

    name: ClassVar[str] = "MutatingAdmissionPolicy"

    def may_change(self, attributes: Attributes) -> bool:
        """Tell whether there are policies that may be about the request."""
        return not attributes.is_settled and self._source.has_any(attributes)

    async def mutate(self, attributes: Attributes) -> None:
        """Do what is about the request. Raises ApiError."""
        plan = await self._plan(attributes)
        if not plan:
            return
        with self._subject(attributes) as subject:
            await self._change(plan, subject)

    async def _change(self, plan: Plan, subject: Subject) -> None:
        attributes = subject.attributes
        rounds = Rounds.begin(attributes, "policies")
        problems: list[str] = []
        matches = await self._matcher.matches(plan, subject)
        for match in matches:
            if match.problem:
                if match.policy.is_fatal:
                    problems.append(_said(match, match.problem))
                continue
            for param in match.params:
                problems += await self._invoke(match, param, subject, rounds)
        rounds.end(attributes)
        if problems:
            raise _refusal(subject, problems, is_configuration=any(match.problem for match in matches))

    async def _invoke(
        self, match: Match, param: Object | None, subject: Subject, rounds: Rounds
    ) -> list[str]:
        """Do a policy's mutations with one parameter; tell what went wrong, where it matters."""
        policy, a = match.policy, subject.attributes
        values = self._matcher.values(subject, await subject.at(match.resource))
        outcome = self._matcher.holds(match, values, param)
        if outcome.error:
            return [_said(match, outcome.error)]
        if not outcome.holds or a.obj is None:
            return []
        assert match.binding is not None
        key = (policy.name, match.binding.name, objects.key(param) if param is not None else "")
        if not rounds.is_due(a, key):
            return []
        problems, is_changed = [], False
        for mutation in policy.mutations:
            started, problem = time.perf_counter(), ""
            try:
                is_changed |= await self._mutate(mutation, match, param, subject)
            except CannotPatch as err:
                problem = str(err)
            action = "deny" if problem else "allow"
            seconds = time.perf_counter() - started
            self._counts.observe(policy.name, match.binding.name, problem, action, seconds)
            if problem and policy.is_fatal:
                problems.append(_said(match, problem))
        rounds.asked(a, key, is_changed=is_changed, is_repeated=policy.is_repeated)
        return problems

    async def _mutate(self, mutation: Mutation, match: Match, param: Object | None, subject: Subject) -> bool:
        """Do one mutation; tell whether it changed the object. Raises CannotPatch."""
        shown = await subject.at(match.resource)
        assert shown.obj is not None
        values = self._matcher.values(subject, shown)
        scope = replace(match.policy.scope, is_patch=True)
        returns = _CONFIGURATION if mutation.is_apply else _PATCH
        wrong = expressions.misnamed(scope, mutation.expression, returns)
        if wrong:
            raise CannotPatch(wrong)
        found = values.evaluate(scope, mutation.expression, returns, Budget(RUNTIME_BUDGET), param)
        if found.error:
            raise CannotPatch(found.error)
        try:
            new = self._patched(mutation, shown, found.value)
            return await subject.put(shown, new, is_strict=True)
        except ApiError as err:
            raise CannotPatch(err.message) from err

    def _patched(self, mutation: Mutation, shown: Shown, value: Any) -> dict[str, Any]:
        assert shown.obj is not None
        if not mutation.is_apply:
            return patches.json_patch(shown.obj, value)
        definition, problems = self._versions.check(shown.resource, shown.kind.kind, value)
        return patches.apply_configuration(shown.obj, value, definition, problems)


def _said(match: Match, problem: str) -> str:
    if match.binding is None:
        return f'policy "{match.policy.name}" denied request: {problem}'
    return f"policy '{match.policy.name}' with binding '{match.binding.name}' denied request: {problem}"


def _refusal(subject: Subject, problems: list[str], *, is_configuration: bool) -> ApiError:
    found = errors.forbidden(subject.resource, subject.attributes.name, problems[0])
    found.message = problems[0]
    found.reason = "Forbidden" if is_configuration else "Invalid"
    found.details["causes"] = [{"message": problem} for problem in problems]
    return found
