"""Property names as CEL identifiers: `__dot__`, `__dash__`, `__namespace__`. Pure.

Source: k8s.io/apiserver/pkg/cel/escaping.go.

>>> escape("a.b-c/d__e"), escape("namespace"), escape("$ref")
('a__dot__b__dash__c__slash__d__underscores__e', '__namespace__', None)
>>> unescape("a__dot__b"), unescape("__namespace__"), unescape("__x__")
('a.b', 'namespace', None)
"""

import re

RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const",
        "continue", "else", "for", "function", "if", "import", "let",
        "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip

_NAMES = {"__": "underscores", ".": "dot", "-": "dash", "/": "slash"}
_SYMBOLS = {name: symbol for symbol, name in _NAMES.items()}
_SPECIAL = re.compile(r"__|[-./]")
_ESCAPED = re.compile(r"__([^_]+)__")
_LEGAL = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./-]*", re.ASCII)


def escape(name: str) -> str | None:
    """Write a property's name as an identifier; None if it cannot be one."""
    if name in RESERVED:
        return f"__{name}__"
    if not _LEGAL.fullmatch(name):
        return None
    return _SPECIAL.sub(lambda found: f"__{_NAMES[found[0]]}__", name)


def unescape(identifier: str) -> str | None:
    """Undo `escape`; None if the identifier is not the writing of any name."""
    failed = False

    def symbol(found: re.Match[str]) -> str:
        nonlocal failed
        word = found[1]
        if word in _SYMBOLS:
            return _SYMBOLS[word]
        failed = failed or word not in RESERVED or found[0] != identifier
        return word

    name = _ESCAPED.sub(symbol, identifier)
    return None if failed else name
