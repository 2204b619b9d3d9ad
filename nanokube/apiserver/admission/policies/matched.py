"""From a plan to the policies that are to be asked about one write: selectors, names, conditions, parameters.

Source: staging apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanokube.api.errors import ApiError
from nanokube.api.resources import Resource
from nanokube.apiserver.admission.matching.conditions import Outcome
from nanokube.apiserver.admission.matching.criteria import Selected
from nanokube.apiserver.admission.matching.metrics import POLICY, ConditionMetrics
from nanokube.apiserver.admission.matching.subject import Subject
from nanokube.apiserver.admission.matching.values import Values
from nanokube.apiserver.admission.policies.params import Misconfigured, Params
from nanokube.apiserver.admission.policies.plan import Group, Member, Plan
from nanokube.apiserver.admission.policies.policy import Binding, Policy
from nanokube.apiserver.authz.authorizer import Authorizer

Object = Mapping[str, Any]
Chosen = tuple[Member, Group, Outcome | ApiError | None]


@dataclass(frozen=True, slots=True)
class Match:
    """A policy to ask, by one of its bindings. problem: why it cannot be asked."""

    policy: Policy
    binding: Binding | None
    resource: Resource
    params: Sequence[Object | None] = ()
    problem: str = ""
    outcome: Outcome | None = None  # of conditions that are the same for all parameters


class Matcher:
    """Chooses from plans."""

    def __init__(self, params: Params, authorizer: Authorizer, counts: ConditionMetrics) -> None:
        self._params = params
        self._authorizer = authorizer
        self._counts = counts

    def values(self, subject: Subject, shown: Any) -> Values:
        """Give the variables of expressions."""
        return Values.of(subject, shown, self._authorizer)

    async def matches(self, plan: Plan, subject: Subject) -> list[Match]:
        """List the policies to ask, in order."""
        found: list[Match] = []
        for member, group, outcome in await self._members(plan, subject):
            found += [match async for match in self._bound(member, group, outcome, subject)]
        return found

    async def _members(self, plan: Plan, subject: Subject) -> list[Chosen]:
        """List those to ask. No generator: it costs as much as a thousand policies that are not asked."""
        found: list[Chosen] = []
        for view in plan.views:
            shown = await subject.at(view.resource)
            values = self.values(subject, shown)
            candidates = (
                view.others,
                view.prefilter.candidates(values.plain),
                view.batches.candidates(values),
            )
            for group in itertools.chain(*candidates):
                found += self._chosen(group, group.members[0].selected, subject, values)
        for group in plan.named:
            for member in group.members:
                if member.selected.resource(subject.name) is not None:
                    found += self._chosen(group, member.selected, subject, None)
        found.sort(key=lambda each: each[0].place)
        return found

    def _chosen(
        self, group: Group, selected: Selected, subject: Subject, values: Values | None
    ) -> Iterator[Chosen]:
        outcome: Outcome | ApiError | None = None
        try:
            if not is_selected(selected, subject):
                return
        except ApiError as err:
            outcome = err
        else:
            if group.conditions is not None and values is not None:
                started = time.perf_counter()
                outcome = group.conditions.evaluate(values)
                if outcome.holds or outcome.failures:
                    seconds = time.perf_counter() - started
                    for member in group.members:
                        self._count(member.policy, subject, seconds, outcome)
                if not outcome.holds and not outcome.error:
                    return
        for member in group.members:
            yield member, group, outcome

    async def _bound(
        self, member: Member, group: Group, outcome: Outcome | ApiError | None, subject: Subject
    ) -> AsyncIterator[Match]:
        policy = member.policy
        resource = group.resource or member.selected.resource(subject.name)
        assert resource is not None
        if isinstance(outcome, ApiError):
            yield Match(policy, None, resource, problem=f"failed to configure policy: {outcome.message}")
            return
        for binding, selected in member.bindings:
            try:
                if selected is not None and not (
                    selected.resource(subject.name) is not None and is_selected(selected, subject)
                ):
                    continue
                params = await self._params.collect(policy, binding, subject)
            except (ApiError, Misconfigured) as err:
                cause = err.message if isinstance(err, ApiError) else str(err)
                yield Match(policy, binding, resource, problem=f"failed to configure binding: {cause}")
                continue
            yield Match(policy, binding, resource, params, outcome=outcome)

    def holds(self, match: Match, values: Values, param: Object | None) -> Outcome:
        """Tell whether the match conditions hold for a parameter."""
        if match.outcome is not None:
            return match.outcome
        conditions = match.policy.conditions
        if conditions is None:
            return Outcome(True)
        started = time.perf_counter()
        outcome = conditions.evaluate(values, param)
        self._count(match.policy, values.subject, time.perf_counter() - started, outcome)
        return outcome

    def _count(self, policy: Policy, subject: Subject, seconds: float, outcome: Outcome) -> None:
        operation = subject.attributes.operation
        self._counts.observe(policy.name, POLICY, "validate", operation, seconds, outcome.failures)


def is_selected(selected: Selected, subject: Subject) -> bool:
    """Tell whether the selectors take the request. Raises ApiError."""
    return subject.selects_namespace(selected.namespaces) and subject.selects_object(selected.objects)
