"""Label selectors (text and object form) and field selectors: parse, match, print. Pure.

Source: staging/src/k8s.io/apimachinery/pkg/{labels/selector.go,fields/selector.go,apis/meta/v1/helpers.go}.

>>> parse_labels("app in (a, b),!canary,tier!=db").matches({"app": "a"})
True
>>> str(parse_labels("x=1,y notin (b,a)"))
'x=1,y notin (a,b)'
>>> parse_fields("status.phase!=Running").matches(lambda path: "Pending")
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import field
from nanokube.api.validation import names

IN: Final = "in"
NOT_IN: Final = "notin"
EXISTS: Final = "exists"
DOES_NOT_EXIST: Final = "!"
GREATER: Final = ">"
LESS: Final = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels fulfil it. An absent label fulfils "notin" and "!"."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return _compare(value, self.operator, self.values)

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case ">" | "<":
                return f"{self.key}{self.operator}{self.values[0]}"
        if len(self.values) == 1 and self.operator == IN:
            return f"{self.key}={self.values[0]}"
        return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of some requirements; without any it matches everything, `nothing` matches no object."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels fulfil every requirement."""
        return not self.nothing and all(r.matches(labels) for r in self.requirements)

    @property
    def is_empty(self) -> bool:
        """Whether every object matches."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(r) for r in self.requirements)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Equalities and inequalities on fields: (path, is_equal, value)."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, read: Callable[[str], str]) -> bool:
        """Tell whether an object fulfils it; `read(path)` returns its field's value as text."""
        return all((read(path) == value) is is_equal for path, is_equal, value in self.terms)

    @property
    def is_empty(self) -> bool:
        """Whether every object matches."""
        return not self.terms

    def exact(self, path: str) -> str | None:
        """Return the value that `path` must have, if the selector demands one."""
        return next((value for p, is_equal, value in self.terms if p == path and is_equal), None)

    def __str__(self) -> str:
        return ",".join(f"{p}{'=' if eq else '!='}{_escape(v)}" for p, eq, v in self.terms)


EVERYTHING: Final = LabelSelector()
NOTHING: Final = LabelSelector(nothing=True)
_EVERY_FIELD: Final = FieldSelector()

_TOKEN: Final = re.compile(r"\s*(?:(?P<op>==|=|!=|!|<|>|,|\(|\))|(?P<word>[^\s=!<>,()]+))")


def parse_labels(text: str) -> LabelSelector:
    """Parse the `labelSelector` query parameter. Raises ValueError."""
    if not text.strip():
        return EVERYTHING
    return LabelSelector(tuple(sorted(_Parser(text).requirements(), key=lambda r: r.key)))


def from_labels(labels: Mapping[str, str] | None) -> LabelSelector:
    """Make the selector of a plain map, as Services have; None matches nothing, {} everything."""
    if labels is None:
        return NOTHING
    return LabelSelector(tuple(Requirement(k, IN, (v,)) for k, v in sorted(labels.items())))


def from_object(selector: Mapping[str, Any] | None) -> LabelSelector:
    """Make the selector of a meta/v1 `LabelSelector`; None matches nothing, {} all. Raises ValueError."""
    if selector is None:
        return NOTHING
    found = [Requirement(k, IN, (v,)) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise ValueError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        found.append(Requirement(expression["key"], operator, tuple(expression.get("values") or ())))
    return LabelSelector(tuple(found))


_OPERATORS: Final = {"In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": DOES_NOT_EXIST}


def parse_fields(text: str) -> FieldSelector:
    """Parse the `fieldSelector` query parameter. Raises ValueError."""
    if not text:
        return _EVERY_FIELD
    terms = []
    for part in sorted(_split_unescaped(text)):
        if not part:
            continue
        match = re.fullmatch(r"((?:(?!!=)[^=])*)(!=|==|=)(.*)", part, re.DOTALL)
        if match is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append((match[1], match[2] != "!=", _unescape(match[3])))
    return FieldSelector(tuple(terms))


def _split_unescaped(text: str) -> Sequence[str]:
    return re.findall(r"((?:[^\\,]|\\.|\\$)*)(?:,|$)", text, re.DOTALL)


def _unescape(text: str) -> str:
    for said in re.findall(r"\\.|.|\\$", text, re.DOTALL):
        if said == "=":
            raise ValueError(f"invalid field selector: unescaped character in value: {ord(said)}")
        if said[0] == "\\" and said[1:] not in ("\\", ",", "="):
            raise ValueError(f"invalid field selector: invalid escape sequence: {said}")
    return re.sub(r"\\([\\,=])", r"\1", text)


def _escape(text: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", text)


def _compare(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    left, right = _integer(value or ""), _integer(values[0])
    if left is None or right is None:
        return False
    return left > right if operator == GREATER else left < right


class _Parser:
    """Recursive descent over the selector grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._scan(text)
        self.at = 0

    @staticmethod
    def _scan(text: str) -> list[tuple[bool, str]]:
        tokens, at, end = [], 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            assert match is not None
            tokens.append((match["op"] is not None, match["op"] or match["word"]))
            at = match.end()
        return tokens

    def requirements(self) -> list[Requirement]:
        self._demand_start("!, identifier, or 'end of string'")
        found = [self._requirement()]
        while self.at < len(self.tokens):
            if not self._take(","):
                raise ValueError(f"found '{self._peek()[1]}', expected: ',' or 'end of string'")
            self._demand_start("identifier after ','")
            found.append(self._requirement())
        return found

    def _demand_start(self, wanted: str) -> None:
        """Demand that a requirement begins here."""
        is_op, token = self._peek()
        if is_op and token != "!":
            raise ValueError(f"found '{token}', expected: {wanted}")

    def _fail(self, wanted: str) -> ValueError:
        return ValueError(f"unable to parse requirement: found '{self._peek()[1]}', expected: {wanted}")

    def _peek(self) -> tuple[bool, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else (True, "")

    def _take(self, op: str) -> bool:
        if self._peek() == (True, op):
            self.at += 1
            return True
        return False

    def _word(self, wanted: str) -> str:
        is_op, token = self._peek()
        if is_op:
            raise self._fail(wanted)
        self.at += 1
        return token

    def _requirement(self) -> Requirement:
        if self._take("!"):
            return Requirement(_check_key(self._word("identifier")), DOES_NOT_EXIST)
        key = _check_key(self._word("identifier"))
        is_op, token = self._peek()
        if token == "" or (is_op and token == ","):
            return Requirement(key, EXISTS)
        if is_op and token in ("=", "==", "!=", GREATER, LESS):
            self.at += 1
            is_empty = self._peek() in ((True, ""), (True, ","))
            values: tuple[str, ...] = ("" if is_empty else self._word("identifier"),)
            operator = token if token in (GREATER, LESS) else NOT_IN if token == "!=" else IN
        elif not is_op and token in (IN, NOT_IN):
            self.at += 1
            values, operator = tuple(sorted(self._values())), token
        else:
            raise self._fail("in, notin, =, ==, !=, gt, lt")
        _check_values(key, operator, values)
        return Requirement(key, operator, values)

    def _values(self) -> set[str]:
        """Read a list in parentheses: what is missing around a comma is an empty value."""
        if not self._take("("):
            raise ValueError(f"unable to parse requirement: found '{self._peek()[1]}' expected: '('")
        if self._take(")"):
            return {""}
        if self._peek()[0] and self._peek()[1] != ",":
            raise self._fail("',', ')' or identifier")
        values = set[str]()
        while True:
            if self._take(","):
                if not values or self._peek() in ((True, ")"), (True, ",")):
                    values.add("")
                if self._take(")"):
                    return values
                continue
            values.add(self._word("',', or identifier"))
            if self._take(")"):
                return values
            if self._peek() != (True, ","):
                raise self._fail("',' or ')'")


def _check_key(key: str) -> str:
    if wrong := names.qualified_name(key):
        # upstream has no path to tell here, and says so
        raise ValueError(f"unable to parse requirement: {field.invalid('<nil>', key, '; '.join(wrong))}")
    return key


def _check_values(key: str, operator: str, values: Sequence[str]) -> None:
    found = []
    if operator in (GREATER, LESS):
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        found += [
            field.invalid(f"values[{i}]", value, detail)
            for i, value in enumerate(values)
            if _integer(value) is None
        ]
    for index, value in enumerate(values):
        if wrong := names.label_value(value):
            found.append(field.invalid(f"values[{index}][{key}]", value, "; ".join(wrong)))
    if found:
        said = ", ".join(map(str, found))
        raise ValueError(f"unable to parse requirement: {f'[{said}]' if len(found) > 1 else said}")


def _integer(text: str) -> int | None:
    """Read a number as Go's ParseInt does, which knows no underscores and 64 bits."""
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        return None
    number = int(text) if len(text) < 4000 else 1 << 63
    return number if -(1 << 63) <= number < 1 << 63 else None
