"""What the variables of expressions are for one write, converted once for all who ask about it.

Source: staging apiserver pkg/admission/plugin/cel/{activation,condition}.go.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.cel import admission as expressions
from nanokube.api.cel import runtime, types
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.environment import Activation
from nanokube.api.cel.errors import BudgetExceeded, EvaluationError
from nanokube.api.cel.library import authorization
from nanokube.api.cel.library.authorization import Answer, Authorize, Question
from nanokube.api.cel.types import Type
from nanokube.apiserver.admission.matching import reads
from nanokube.apiserver.admission.matching.reads import Parts
from nanokube.apiserver.admission.matching.subject import Shown, Subject
from nanokube.apiserver.authn import user as users
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision

_AUTHORIZER: Final = "authorizer"
_OUT_OF_BUDGET: Final = (
    "validation failed due to running out of cost budget, no further validation rules will be run"
)
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression gave. error: why it gave nothing. is_spent: nothing is left to spend on others."""

    value: Any = None
    error: str = ""
    is_spent: bool = False


class Budget:
    """What expressions may still cost."""

    def __init__(self, units: int) -> None:
        self.left = units


class Values:
    """One view of one write."""

    def __init__(self, subject: Subject, shown: Shown, authorizer: Authorizer) -> None:
        self.subject = subject
        self._shown = shown
        self._authorizer = authorizer
        self._activations: dict[tuple[int, bool], Activation] = {}
        self._partials: dict[Parts, Activation] = {}
        self._asked: Object | None = None
        self._results: dict[tuple[Any, ...], tuple[Value, int]] = {}
        self._params: list[Object] = []  # alive as long as their identities are keys

    @classmethod
    def of(cls, subject: Subject, shown: Shown, authorizer: Authorizer) -> Values:
        """Give what was made before of the same view, or a new one."""
        key = ("values", shown.resource.api_version)
        found: Values | None = subject.converted.get(key)
        if found is None:
            found = subject.converted[key] = cls(subject, shown, authorizer)
        return found

    def evaluate(
        self,
        scope: Scope,
        source: str,
        returns: tuple[Type, ...],
        budget: Budget,
        param: Object | None = None,
    ) -> Value:
        """Evaluate an expression; the same one is evaluated once."""
        key = (scope, source, id(param))
        known = self._results.get(key)
        if known is None:
            known = self._results[key] = self._evaluate(scope, source, returns, budget.left, param)
        value, cost = known
        budget.left -= cost
        return Value(error=_OUT_OF_BUDGET, is_spent=True) if budget.left < 0 else value

    def _evaluate(
        self, scope: Scope, source: str, returns: tuple[Type, ...], left: int, param: Object | None
    ) -> tuple[Value, int]:
        program = expressions.compiled(scope, source, returns)
        if isinstance(program, str):
            return Value(error=f"compilation error: compilation failed: {program}"), 0
        asks = _AUTHORIZER in source or any(_AUTHORIZER in text for _, text in scope.variables)
        parts = reads.parts(program) if not asks and not scope.variables and param is None else None
        bound = self._activation(param, asks) if parts is None else self.reading(parts)
        try:
            result = program.evaluate(bound, left)
        except BudgetExceeded:
            return Value(error=_OUT_OF_BUDGET, is_spent=True), left + 1
        except EvaluationError as err:
            return Value(error=f"expression '{source}' resulted in error: {err}"), 0
        return Value(result.value), result.cost

    def _activation(self, param: Object | None, asks: bool) -> Activation:
        key = (id(param), asks)
        found = self._activations.get(key)
        if found is None:
            if param is not None:
                self._params.append(param)
            found = self._activations[key] = Activation(self._variables(param, asks), expressions.DECLARED)
        return found

    def reading(self, parts: Parts) -> Activation:
        """Bind only what expressions read: the conversion costs more than most expressions."""
        found = self._partials.get(parts)
        if found is None:
            values: dict[str, Any] = {}
            for name in {part[0] for part in parts}:
                whole = self.plain(name)
                is_object = name in reads.OBJECTS and whole is not None
                values[name] = reads.project(whole, parts, name) if is_object else whole
            found = self._partials[parts] = Activation(values, expressions.DECLARED)
        return found

    def plain(self, name: str) -> Any:
        """Give what a variable is, as JSON has it."""
        match name:
            case "object":
                return self._shown.obj
            case "oldObject":
                return self._shown.old
            case "request":
                return self._request()
            case "namespaceObject":
                return self._namespace()
        return None

    def _request(self) -> Object:
        if self._asked is None:
            asked = self.subject.request(self._shown)
            self._asked = {key: value for key, value in asked.items() if value is not None}
        return self._asked

    def _namespace(self) -> Object | None:
        is_namespace = self.subject.attributes.resource.name == "namespaces"
        return None if is_namespace else _namespace(self.subject.namespace_object())

    def _variables(self, param: Object | None, asks: bool) -> dict[str, Any]:
        subject, shown = self.subject, self._shown
        found: dict[str, Any] = {
            "object": shown.obj,
            "oldObject": shown.old,
            "request": self._request(),
            "namespaceObject": self._namespace(),
            "params": param,
        }
        if asks:
            a = subject.attributes
            lent, key = authorization.lend(_asking(a.user, self._authorizer))
            weakref.finalize(self, authorization.take_back, key)
            found[_AUTHORIZER] = runtime.to_native(lent)
            asked = Question(
                "",
                "",
                subject.resource.group,
                subject.resource.plural,
                a.subresource,
                subject.namespace,
                a.name,
            )
            found[f"{_AUTHORIZER}.requestResource"] = runtime.to_native(
                authorization.resource_check(lent, asked)
            )
        return found


def _asking(user: User, authorizer: Authorizer) -> Authorize:
    """Make what answers questions; it refers to nothing else of the write, as it is lent."""

    def authorize(asked: Question) -> Answer:
        who = user if asked.service_account is None else _service_account(*asked.service_account)
        decision, reason = authorizer.authorize(
            Attributes(
                who,
                asked.verb,
                asked.group,
                "*",
                asked.resource,
                asked.subresource,
                asked.namespace,
                asked.name,
                asked.path,
            )
        )
        return Answer(decision is Decision.ALLOW, reason)

    return authorize


def _service_account(namespace: str, name: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", users.AUTHENTICATED)
    return User(users.service_account(namespace, name), groups)


def _namespace(obj: Object | None) -> Object | None:
    if obj is None:
        return None
    hidden = ("managedFields", "ownerReferences", "selfLink")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in hidden}
    return {"metadata": metadata, "spec": obj.get("spec") or {}, "status": obj.get("status") or {}}


BOOL: Final = (types.BOOL,)
