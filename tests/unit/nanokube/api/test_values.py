"""Quantities, selectors, timestamps, errors: tables of text and value."""

from __future__ import annotations

import doctest
import re
from types import ModuleType

import pytest

from nanokube.api import errors, field, jsonkeys, quantity, resources, selectors, timestamps
from nanokube.api.defaults import pod as pod_defaults
from nanokube.api.patch import merge


@pytest.mark.parametrize("module", [quantity, selectors, timestamps, jsonkeys, pod_defaults, merge])
def test_examples(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"),
        ("100Mi", "100Mi"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("-1", "-1"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("12e6", "12e6"),
        (".5", "500m"),
        ("5.", "5"),
        ("0.0000000001", "1n"),
        ("1Ki", "1Ki"),
        ("512", "512"),
        ("+5", "5"),
        ("3E", "3E"),
    ],
)
def test_quantity_canonical(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "1x", "abc", "1 Gi", "1KI", "--1", "1ee3", "1e", "Ki"])
def test_quantity_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("a=1", {"a": "1"}, True),
        ("a==1,b", {"a": "1"}, False),
        ("a!=1", {}, True),
        ("!a", {}, True),
        ("a in (1,2)", {"a": "2"}, True),
        ("a notin (1)", {"a": "1"}, False),
        ("a>1", {"a": "2"}, True),
        ("a<1", {"a": "x"}, False),
        ("", {}, True),
        ("a in ()", {"a": ""}, True),
        ("a=", {"a": ""}, True),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert selectors.parse_labels(selector).matches(labels) is matches


@pytest.mark.parametrize("text", ["a in", "a b", ",", "a=1,,b", "a in (1", "=1", "a>x", "a/b/c=1"])
def test_label_selectors_malformed(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected: |Invalid value|must be an integer"):
        selectors.parse_labels(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=1,", "found '', expected: identifier after ','"),
        ("a=1 b", "found 'b', expected: ',' or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            f"{'x' * 64}=a",
            f'unable to parse requirement: <nil>: Invalid value: "{"x" * 64}": '
            "name part must be no more than 63 bytes",
        ),
        ("/a=b", 'unable to parse requirement: <nil>: Invalid value: "/a": prefix part must be non-empty'),
        (
            f"a=b,c={'x' * 64}",
            f'unable to parse requirement: values[0][c]: Invalid value: "{"x" * 64}": '
            "must be no more than 63 bytes",
        ),
    ],
)
def test_malformed_label_selectors_are_told_as_upstream_does(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid value") as caught:
        selectors.parse_labels(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["a>-1", "a in (-b)", "a>9223372036854775808"])
def test_values_of_label_selectors_are_values_of_labels(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid value"):
        selectors.parse_labels(text)


def test_numbers_are_compared_as_go_reads_them() -> None:
    assert not selectors.parse_labels("a>5").matches({"a": "1_0"})
    assert selectors.parse_labels("a>5").matches({"a": "010"})


@pytest.mark.parametrize("text", ["a in (,b)", "a in (b,)", "a in (b,,c)"])
def test_what_is_missing_around_a_comma_is_an_empty_value(text: str) -> None:
    assert selectors.parse_labels(text).matches({"a": ""})
    assert selectors.parse_labels(text).matches({"a": "b"})


def test_nil_selector_matches_nothing_and_empty_everything() -> None:
    assert not selectors.from_object(None).matches({"a": "b"})
    assert selectors.from_object({}).matches({})


def test_field_selector_escapes() -> None:
    found = selectors.parse_fields(r"metadata.name=a\,b,spec.nodeName!=n")
    assert found.terms == (("metadata.name", True, "a,b"), ("spec.nodeName", False, "n"))
    assert str(found) == r"metadata.name=a\,b,spec.nodeName!=n"
    assert found.exact("metadata.name") == "a,b"


def test_invalid_reads_as_kubectl_shows_it() -> None:
    deployments = resources.get("deployments.apps")
    bad = field.invalid("spec.replicas", -1, "must be greater than or equal to 0")
    error = errors.invalid(deployments, "x", [bad])
    assert error.message == (
        'Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    status = error.to_status()
    assert status["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.replicas",
        }
    ]
    assert errors.from_status(status).to_status() == status


def test_expired_carries_a_continue_token() -> None:
    status = errors.expired("gone", "token").to_status()
    assert (status["code"], status["metadata"]) == (410, {"continue": "token"})
    assert errors.from_status(status).to_status() == status


def test_paths() -> None:
    assert resources.get("pods").path("ns", "p", "log") == "/api/v1/namespaces/ns/pods/p/log"
    assert resources.get("deployments.apps").path() == "/apis/apps/v1/deployments"
    assert resources.get("events.events.k8s.io").storage_name == "events"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        ("metadata.name=x\\", "invalid field selector: invalid escape sequence: \\"),
        ("metadata.name=x\\y", "invalid field selector: invalid escape sequence: \\y"),
        ("a=b,nope", "invalid selector: 'a=b,nope'; can't understand 'nope'"),
    ],
)
def test_field_selectors_are_refused_in_upstreams_words(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(cause)}$"):
        selectors.parse_fields(text)


def test_a_field_selector_may_name_no_field() -> None:
    assert selectors.parse_fields("=b,=").terms == (("", True, ""), ("", True, "b"))
    assert selectors.parse_fields("a!b!=c").terms == (("a!b", False, "c"),)
