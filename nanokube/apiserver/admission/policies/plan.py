"""Which policies are about a kind of request, put together by what decides whether they are asked.

A thousand policies that share their selectors and match conditions cost one evaluation, and those whose match
conditions compare a field with a constant are found by the field's value (`prefilter`). What must be
evaluated is evaluated together (`batches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from nanokube.api.resources import Resource
from nanokube.api.steps import Steps
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.criteria import Selected
from nanokube.apiserver.admission.policies.batches import Batches
from nanokube.apiserver.admission.policies.policy import Binding, Policy
from nanokube.apiserver.admission.policies.prefilter import Prefilter


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A policy that may be about such a request, with such bindings of it. place: its order among all."""

    place: int
    policy: Policy
    selected: Selected
    bindings: Sequence[tuple[Binding, Selected | None]]


@dataclass(slots=True, eq=False)
class Group:
    """Policies that are asked under the same conditions. conditions: None if each has its own to evaluate."""

    resource: Resource | None
    selected: Selected
    conditions: Conditions | None
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The groups that are shown an object as one resource, by how it is found out whether they are asked."""

    resource: Resource
    prefilter: Prefilter[Group]
    batches: Batches[Group]
    others: Sequence[Group]  # always

    @classmethod
    def of(cls, resource: Resource, groups: Sequence[Group]) -> Steps[Self]:
        """Sort groups."""
        prefilter, others = Prefilter[Group](), list[tuple[Conditions, Group]]()
        always: list[Group] = []
        for group in groups:
            if group.conditions is None:
                always.append(group)
            elif not prefilter.add(group.conditions.sources, group):
                others.append((group.conditions, group))
            yield
        batches = Batches(others)
        yield from batches.prepare()
        return cls(resource, prefilter, batches, always)


@dataclass(frozen=True, slots=True)
class Plan:
    """The groups of one kind of request: by the resource as which the object is shown, and the rest.

    named: those for which the object's name decides about the resource.
    """

    views: Sequence[View] = ()
    named: Sequence[Group] = ()

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Steps[Self]:
        """Sort groups."""
        shown: dict[str, tuple[Resource, list[Group]]] = {}
        for group in groups:
            if group.resource is not None:
                shown.setdefault(group.resource.api_version, (group.resource, []))[1].append(group)
        views = []
        for resource, found in shown.values():
            views.append((yield from View.of(resource, found)))
        return cls(views, [group for group in groups if group.resource is None])

    def __bool__(self) -> bool:
        return bool(self.views or self.named)


EMPTY = Plan()


def make(
    policies: Sequence[Policy],
    operation: str,
    resource: Resource,
    others: Sequence[Resource],
    subresource: str,
) -> Steps[Plan]:
    """Choose the policies that are about a kind of request. others: the equivalent resources."""
    groups: dict[object, Group] = {}
    for place, policy in enumerate(policies):
        yield
        selected = policy.criteria.select(operation, resource, others, subresource)
        if selected is None:
            continue
        bindings = _bindings(policy, operation, resource, others, subresource)
        if not bindings:
            continue
        member = Member(place, policy, selected, bindings)
        conditions = policy.conditions
        shared = None if conditions is None or conditions.needs_params else conditions
        shown = None if selected.has_names else selected.matched[0][1]
        selectors = (str(selected.namespaces), str(selected.objects))
        key = (place,) if shown is None else (shown.api_version, selectors, shared, shared is conditions)
        found = groups.get(key)
        if found is None:
            found = groups[key] = Group(shown, selected, shared if shown is not None else None)
        found.members.append(member)
    return (yield from Plan.of(list(groups.values())))


def _bindings(
    policy: Policy, operation: str, resource: Resource, others: Sequence[Resource], subresource: str
) -> list[tuple[Binding, Selected | None]]:
    found: list[tuple[Binding, Selected | None]] = []
    for binding in policy.bindings:
        if binding.criteria is None:
            found.append((binding, None))
            continue
        selected = binding.criteria.select(operation, resource, others, subresource)
        if selected is not None:
            found.append((binding, selected))
    return found
