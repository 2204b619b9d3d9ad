"""The faults of JSON as Go tells them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanokube.api import json_syntax

VALUE = "looking for beginning of value"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", json_syntax.END),
        (b"  ", json_syntax.END),
        (b'{"a":1', json_syntax.END),
        (b'"abc', json_syntax.END),
        (b"tru", json_syntax.END),
        (b"apiVersion: v1", f"invalid character 'a' {VALUE}"),
        (b"[1,]", f"invalid character ']' {VALUE}"),
        (b"nonsense", "invalid character 'o' in literal null (expecting 'u')"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{}'", "invalid character '\\'' after top-level value"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"-a", "invalid character 'a' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1ex", "invalid character 'x' in exponent of numeric literal"),
        (b"01", "invalid character '1' after top-level value"),
        (b"\x00", f"invalid character '\\x00' {VALUE}"),
        (b"[" * 100_000, json_syntax.END),
    ],
)
def test_faults(body: bytes, fault: str) -> None:
    assert json_syntax.fault(body) == fault


@given(st.text(alphabet='{}[]",:\\ -+.0123eutrlfasn', max_size=12))
def test_faults_are_found_exactly_where_json_is_malformed(text: str) -> None:
    try:
        json.loads(text, strict=True)
        is_malformed = False
    except ValueError:
        is_malformed = True
    assert bool(json_syntax.fault(text.encode())) == is_malformed
