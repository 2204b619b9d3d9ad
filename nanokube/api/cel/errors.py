"""What goes wrong with expressions. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nanokube.api.cel.syntax import Source
from nanokube.api.cel.types import Type

_MOST = 100  # cel-go prints no more
_LONGEST_SNIPPET = 16384


class CelError(Exception):
    """Any failure of an expression."""


class CompileError(CelError):
    """The expression does not parse or does not check; the text is what upstream prints after its prefix."""


class ResultTypeError(CompileError):
    """The expression checks, but gives another type than it may."""

    def __init__(self, wanted: Sequence[Type], found: Type) -> None:
        names = [_type_name(each) for each in wanted]
        allowed = names[0] if len(names) == 1 else f"one of [{' '.join(names)}]"
        super().__init__(f"must evaluate to {allowed} but got {_type_name(found)}")
        self.found = found


class EvaluationError(CelError):
    """Evaluation gave an error."""


class BudgetExceeded(EvaluationError):
    """The expression would cost, or did cost, more than it may."""


@dataclasses.dataclass(frozen=True, slots=True)
class Issue:
    """One complaint of the checker about a node."""

    node: int
    message: str


def display(issues: list[Issue], source: Source) -> str:
    """Print issues in order of position, each with its line and a mark below it."""
    located = sorted(
        ((source.location(issue.node), issue.message) for issue in issues[:_MOST]), key=lambda item: item[0]
    )
    texts = [_display(line, column, message, source) for (line, column), message in located]
    if len(issues) > _MOST:
        texts.append(f"{len(issues) - _MOST} more errors were truncated")
    return "\n".join(texts)


def _display(line: int, column: int, message: str, source: Source) -> str:
    text = f"ERROR: <input>:{line}:{column + 1}: {message}"
    lines = source.text.split("\n")
    if not 1 <= line <= len(lines) or len(lines[line - 1].encode()) > _LONGEST_SNIPPET:
        return text
    snippet = lines[line - 1].replace("\t", " ")
    # a wide mark under what takes more than one byte, as cel-go does
    marks = "".join("." if char.isascii() else "\uff0e" for char in snippet[:column])
    end = snippet[column : column + 1]
    mark = "\uff3e" if end and not end.isascii() else "^"
    return f"{text}\n | {snippet}\n | {marks}{mark}"


def _type_name(given: Type) -> str:
    return "null_type" if given.kind == "null" else str(given)
