"""matchConditions: expressions that must all hold for a webhook or policy to be asked.

Source: staging apiserver pkg/admission/plugin/webhook/matchconditions/matcher.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from nanokube.api.cel.admission import Scope
from nanokube.api.cel.environment import MATCH_CONDITIONS_BUDGET
from nanokube.apiserver.admission.matching.values import BOOL, Budget, Values


@dataclass(frozen=True, slots=True)
class Outcome:
    """error: why nobody can tell, where that matters. failures: of how many expressions that is so."""

    holds: bool
    error: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """is_fatal: if nobody can tell, the request is refused; else they do not hold."""

    sources: tuple[str, ...]
    is_fatal: bool
    scope: Scope

    @classmethod
    def read(
        cls, conditions: Sequence[Mapping[str, Any]], *, is_fatal: bool, scope: Scope | None = None
    ) -> Self:
        """Read matchConditions."""
        return cls(tuple(c["expression"] for c in conditions), is_fatal, scope or Scope())

    @property
    def needs_params(self) -> bool:
        """Whether the outcome may differ from parameter to parameter."""
        return any(name in source for name in ("params", "variables") for source in self.sources)

    def evaluate(self, values: Values, param: Mapping[str, Any] | None = None) -> Outcome:
        """Evaluate all. One that is false decides, whatever is wrong with others."""
        budget, problems = Budget(MATCH_CONDITIONS_BUDGET), list[str]()
        for source in self.sources:
            found = values.evaluate(self.scope, source, BOOL, budget, param)
            if found.is_spent:
                return Outcome(False, found.error if self.is_fatal else "", len(problems) + 1)
            if found.error:
                problems.append(found.error)
            elif found.value is not True:
                return Outcome(False, failures=len(problems))
        if not problems:
            return Outcome(True)
        distinct = list(dict.fromkeys(problems))
        text = distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
        return Outcome(False, text if self.is_fatal else "", len(problems))
