"""$(VAR) references in commands, arguments, environment values and sub-paths. Pure.

$(NAME) is replaced when known and kept when not; $$ is a literal $; $ before anything else stays.
Source: third_party/forked/golang/expansion/expand.go.

>>> expand("$(A)-$$(A)-$(B)-$", {"A": "1"})
'1-$(A)-$(B)-$'
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace references; unknown ones are kept."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def missing(text: str, variables: Mapping[str, str]) -> list[str]:
    """List the references that expand() would keep."""
    return [m[1] for m in _REFERENCE.finditer(text) if m[1] is not None and m[1] not in variables]
