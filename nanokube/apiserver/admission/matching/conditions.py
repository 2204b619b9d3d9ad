"""matchConditions: expressions that must all hold for a webhook or policy to be asked.

Source: staging apiserver pkg/admission/plugin/webhook/matchconditions/matcher.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from nanokube.apiserver.admission.matching.subject import Shown, Subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """error: why nobody can tell, where that matters."""

    holds: bool
    error: str = ""


class Conditions:
    """is_fatal: that nobody can tell refuses the request; else it counts as not held."""

    def __init__(self, expressions: Sequence[tuple[str, str]], *, is_fatal: bool) -> None:
        self._expressions = expressions
        self._is_fatal = is_fatal

    @classmethod
    def read(cls, conditions: Sequence[Mapping[str, Any]], *, is_fatal: bool) -> Self:
        """Read matchConditions."""
        return cls([(c["name"], c["expression"]) for c in conditions], is_fatal=is_fatal)

    def evaluate(self, subject: Subject, shown: Shown) -> Outcome:
        """Evaluate all."""
        return Outcome(True)
