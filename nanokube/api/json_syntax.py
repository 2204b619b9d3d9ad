"""What is wrong with JSON, in the words of Go's scanner. Pure.

Source: Go's encoding/json scanner.go (the words), RFC 8259 (the grammar).
"""

from __future__ import annotations

import re
from typing import Final

END: Final = "unexpected end of JSON input"
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_WORDS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_CLOSES: Final = {ord("{"): ord("}"), ord("["): ord("]")}
_VALUE: Final = "looking for beginning of value"
_KEY: Final = "looking for beginning of object key string"
_AFTER: Final = {ord("{"): "after object key:value pair", ord("["): "after array element"}


class _Fault(Exception):
    pass


def fault(body: bytes) -> str:
    """Say what the first fault of malformed JSON is; "" where there is none."""
    try:
        _scan(body)
    except _Fault as found:
        return str(found)
    return ""


def _scan(body: bytes) -> None:
    """Go through one value; containers that are open stand on a stack, so depth does no harm."""
    opened: list[int] = []
    at = 0
    while True:
        at, byte = _next(body, at)
        if byte in _CLOSES:
            at += 1
            peeked = _space(body, at)
            if body[peeked : peeked + 1] != bytes((_CLOSES[byte],)):
                opened.append(byte)
                at = _key(body, at) if byte == ord("{") else at
                continue
            at = peeked + 1
        else:
            at = _scalar(body, at, byte)
        while True:  # after a value
            if not opened:
                at = _space(body, at)
                if at < len(body):
                    raise _at(body, at, "after top-level value")
                return
            at, byte = _next(body, at)
            at += 1
            if byte == ord(","):
                at = _key(body, at) if opened[-1] == ord("{") else at
                break
            if byte != _CLOSES[opened[-1]]:
                raise _at(body, at - 1, _AFTER[opened[-1]])
            opened.pop()


def _key(body: bytes, at: int) -> int:
    at, byte = _next(body, at)
    if byte != ord('"'):
        raise _at(body, at, _KEY)
    at, byte = _next(body, _string(body, at + 1))
    if byte != ord(":"):
        raise _at(body, at, "after object key")
    return at + 1


def _scalar(body: bytes, at: int, byte: int) -> int:
    if byte == ord('"'):
        return _string(body, at + 1)
    if byte in _WORDS:
        return _word(body, at, _WORDS[byte])
    if byte == ord("-") or chr(byte).isdigit():
        return _number(body, at)
    raise _at(body, at, _VALUE)


def _string(body: bytes, at: int) -> int:
    while True:
        at = _end(_PLAIN, body, at)
        byte = _byte(body, at)
        if byte == ord('"'):
            return at + 1
        if byte != ord("\\"):
            raise _at(body, at, "in string literal")
        at += 1
        byte = _byte(body, at)
        if byte not in b'"\\/bfnrtu':
            raise _at(body, at, "in string escape code")
        at += 1
        for _ in range(4 if byte == ord("u") else 0):
            if _byte(body, at) not in b"0123456789abcdefABCDEF":
                raise _at(body, at, "in \\u hexadecimal character escape")
            at += 1


def _word(body: bytes, at: int, word: bytes) -> int:
    for wanted in word:
        if _byte(body, at) != wanted:
            raise _at(body, at, f"in literal {word.decode()} (expecting {chr(wanted)!r})")
        at += 1
    return at


def _number(body: bytes, at: int) -> int:
    if body[at] == ord("-"):
        at += 1
    at = at + 1 if body[at : at + 1] == b"0" else _some_digits(body, at, "in numeric literal")
    if body[at : at + 1] == b".":
        at = _some_digits(body, at + 1, "after decimal point in numeric literal")
    if body[at : at + 1] in (b"e", b"E"):
        at += 1
        at += body[at : at + 1] in (b"+", b"-")
        at = _some_digits(body, at, "in exponent of numeric literal")
    return at


def _some_digits(body: bytes, at: int, where: str) -> int:
    if not chr(_byte(body, at)).isdigit():
        raise _at(body, at, where)
    return _end(_DIGITS, body, at)


def _next(body: bytes, at: int) -> tuple[int, int]:
    at = _space(body, at)
    return at, _byte(body, at)


def _space(body: bytes, at: int) -> int:
    return _end(_SPACE, body, at)


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    found = pattern.match(body, at)
    return found.end() if found else at


def _byte(body: bytes, at: int) -> int:
    if at >= len(body):
        raise _Fault(END)
    return body[at]


def _at(body: bytes, at: int, where: str) -> _Fault:
    char = chr(body[at])
    shown = {"'": "'\\''", '"': "'\"'"}.get(char) or "'" + _quoted(char) + "'"
    return _Fault(f"invalid character {shown} {where}")


def _quoted(char: str) -> str:
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "\b": "\\b", "\f": "\\f"}
    return escapes.get(char) or (char if char.isprintable() else f"\\x{ord(char):02x}")
