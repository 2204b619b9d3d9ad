"""Files of variables that containers write for those after them (fileKeyRef): NAME='value'. Pure.

A subset of a shell's syntax: values stand in single quotes, as they are, over several lines if need be; blank
lines and comments are skipped. Space after the "=" makes an empty value, as in a shell.
Source: KEP-3721, pkg/kubelet/util/env.
"""

_BLANK = " \t"


class EnvFileError(ValueError):
    """A line is none of a file of variables."""


def value(text: str, key: str) -> str:
    """Return a variable's first value, empty if there is none. Raises EnvFileError.

    What stands after it is not looked at.
    """
    lines = enumerate(text.split("\n"), start=1)
    for number, raw in lines:
        line = raw.removesuffix("\r").lstrip(_BLANK)
        if not line or line.startswith("#"):
            continue
        name, equals, rest = line.partition("=")
        if not equals:
            raise EnvFileError(f"line {number} has no '='")
        if not name or name.rstrip(_BLANK) != name:
            raise EnvFileError(f"line {number} has no name before its '='")
        found = ""
        if not rest or rest[0] not in _BLANK:
            if not rest.startswith("'"):
                raise EnvFileError(f"the value at line {number} is not in single quotes")
            found, _, after = rest[1:].partition("'")
            closed = "'" in rest[1:]
            while not closed:
                _, more = next(lines, (0, None))
                if more is None:
                    raise EnvFileError(f"the quote at line {number} is not closed")
                part, closing, after = more.removesuffix("\r").partition("'")
                found, closed = f"{found}\n{part}", bool(closing)
            after = after.lstrip(_BLANK)
            if after and not after.startswith("#"):
                raise EnvFileError(f"something stands after the value of line {number}")
        if name == key:
            return found
    return ""
