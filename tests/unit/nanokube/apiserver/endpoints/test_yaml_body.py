"""Bodies in YAML, as Go's parser reads them."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import errors
from nanokube.apiserver.endpoints import yaml_body


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("=", "="),  # an operator in the enumerations of real definitions
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("y", True),
        ("off", False),
        ("1e3", 1000.0),
        ("012", 10),
        ("0o17", 15),
        ("08", 8.0),
        ("-0x1F", -31),
        ("1_000", 1000),
        ("18446744073709551616", 18446744073709551616.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    (found,) = yaml_body.parse(f"a: {text}\n".encode())[0].values()
    assert (found, type(found)) == (value, type(value))


def test_keys_are_strings() -> None:
    assert yaml_body.parse(b"{1: a, true: b, 1.5: c}")[0] == {"1": "a", "true": "b", "1.5": "c"}


def test_merged_keys() -> None:
    assert yaml_body.parse(b"{a: 1, <<: {b: 2}}")[0] == {"a": 1, "b": 2}


@pytest.mark.parametrize("body", [b"a: 1\nb: 1\na: 2\n", b'{"a":1,"b":1,\n\n"a":2}'])
def test_duplicate_keys_are_told_of_with_their_lines(body: bytes) -> None:
    assert yaml_body.parse(body) == ({"a": 2, "b": 1}, ['line 3: key "a" already set in map'])


@pytest.mark.parametrize("body", [b"a: .inf", b"a: &x 1\nb: *x", b"{~: 1}", b"a: [", b"{" * 1000])
def test_what_json_has_no_place_for_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ApiError, match="error converting YAML to JSON"):
        yaml_body.parse(body)


def test_json_is_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_body, "_parse", None)
    assert yaml_body.parse(b'{"a":"\\u003cb\\u003e","c":[1.5,"="]}\n') == ({"a": "<b>", "c": [1.5, "="]}, [])


@pytest.mark.parametrize(
    "text", ["y", "1e3", "012", "=", "1:30", "", "~", "2001-12-14", "null", "<<", "a: b", "é"]
)
def test_text_stays_text(text: str) -> None:
    assert yaml_body.parse(yaml_body.dump({text: [text]}))[0] == {text: [text]}


@pytest.mark.parametrize("count", [400, 5000])
def test_a_number_that_no_float_holds_is_text(count: int) -> None:
    digits = "9" * count
    assert yaml_body.parse(f"a: {digits}\n".encode())[0] == {"a": digits}
