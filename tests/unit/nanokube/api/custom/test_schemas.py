"""Schemas as they are compiled: what is pruned, filled in, kept under an old mistake, owned by managers."""

from __future__ import annotations

import copy
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nanokube.api.custom import fill, kind, node, patterns, prune, versions
from nanokube.api.patch import apply, managed

PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
TEXT: Final = {"type": "string"}
LIST_MAP: Final = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}


def made(properties: dict[str, Any], **version: Any) -> kind.CustomKind:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    row = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    names = {"kind": "Foo", "plural": "foos"}
    return kind.CustomKind({"group": "ex.io", "names": names, "scope": "Namespaced", "versions": [row]}, row)


def obj(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "ex.io/v1", "kind": "Foo", "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(
    ("schema", "value", "kept", "unknown"),
    [
        ({"a": TEXT}, {"a": "1", "b": 2}, {"a": "1"}, ["b"]),
        ({"a": {"type": "object"}}, {"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": {PRESERVE: True}}, {"a": {"b": {"c": None}}}, {"a": {"b": {"c": None}}}, []),
        (
            {"a": {"type": "object", PRESERVE: True, "properties": {"k": {"type": "object"}}}},
            {"a": {"b": 1, "k": {"c": 1}}},
            {"a": {"b": 1, "k": {}}},
            ["a.k.c"],
        ),
        (
            {"a": {"type": "array", PRESERVE: True, "items": {"type": "object", "properties": {"k": TEXT}}}},
            {"a": [{"b": 1}]},
            {"a": [{"b": 1}]},
            [],
        ),
        (
            {"a": {"type": "object", "additionalProperties": True}},
            {"a": {"b": {"c": 1}, "d": 2}},
            {"a": {"b": {}, "d": 2}},
            ["a.b.c"],
        ),
        ({"a": {"type": "array", "items": {"type": "object"}}}, {"a": [{"b": 1}]}, {"a": [{}]}, ["a[0].b"]),
    ],
)
def test_unknown_fields_are_pruned_and_named(schema: Any, value: Any, kept: Any, unknown: Any) -> None:
    found = node.of({"type": "object", "properties": schema})
    assert not unknown or not prune.compile_check(found)(value)
    assert prune.prune(found, value) == unknown
    assert value == kept


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            TEXT,
            {**TEXT, "nullable": True},
            {"type": "integer", "default": 1},
            {PRESERVE: True},
            {"type": "object"},
        ]
    ),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner).map(lambda p: {"type": "object", "properties": p}),
        st.dictionaries(st.sampled_from("abc"), inner).map(
            lambda p: {"type": "object", "properties": p, PRESERVE: True}
        ),
        inner.map(lambda i: {"type": "array", "items": i}),
        inner.map(lambda i: {"type": "object", "additionalProperties": i}),
        st.booleans().map(lambda b: {"type": "object", "additionalProperties": b}),
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.sampled_from(["x", 1, True, None]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abcd"), inner)),
    max_leaves=10,
)


@example({"type": "object", "properties": {"b": {PRESERVE: True}}}, {"b": None})
@given(SCHEMAS, VALUES)
def test_the_quick_check_never_overlooks_what_must_go(schema: Any, value: Any) -> None:
    found = node.of(schema)
    is_clean = prune.compile_check(found)(value)
    before = copy.deepcopy(value)
    unknown = prune.prune(found, value)
    prune.drop_nulls(found, value)
    if is_clean:
        assert (unknown, value) == ([], before)


def test_defaults_fill_in_at_any_depth_and_replace_null_where_it_may_not_stand() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 3}}},
            "l": {
                "type": "array",
                "items": {"type": "object", "properties": {"q": {**TEXT, "default": "z"}}},
            },
            "m": {"type": "object", "additionalProperties": {**TEXT, "default": "y"}},
            "u": {**TEXT, "nullable": True, "default": "u"},
        },
    }
    value: Any = {"a": None, "l": [{}, {"q": "1"}], "m": {"k": None}, "u": None}
    filled = fill.compile_fill(node.of(schema))
    assert filled is not None
    filled(value)
    assert value == {"a": {"n": 3}, "l": [{"q": "z"}, {"q": "1"}], "m": {"k": "y"}, "u": None}
    assert fill.compile_fill(node.of({"type": "object", "properties": {"a": TEXT}})) is None


def test_what_did_not_change_may_stay_wrong() -> None:
    items = {"type": "object", "properties": {"k": TEXT, "v": {"type": "integer", "maximum": 5}, "w": TEXT}}
    found = made(
        {
            "a": {**TEXT, "pattern": "^ok$"},
            "b": TEXT,
            "l": {"type": "array", "items": items, **LIST_MAP},
            "t": {"type": "array", "items": {"type": "integer", "maximum": 5}},
        }
    )
    old = obj(a="bad", l=[{"k": "x", "v": 9}], t=[9, 1])
    assert [e.path for e in found.validate(old)] == ["spec.a", "spec.l[0].v", "spec.t[0]"]
    new = obj(a="bad", b="new", l=[{"k": "y"}, {"k": "x", "v": 9, "w": "new"}], t=[9, 1])
    assert found.validate(new, old) == []
    new = obj(a="worse", l=[{"k": "y", "v": 9}], t=[9, 2])
    assert [e.path for e in found.validate(new, old)] == ["spec.a", "spec.l[0].v", "spec.t[0]"]


def test_managers_own_what_the_schema_makes_of_their_fields() -> None:
    found = made(
        {
            "l": {
                "type": "array",
                "items": {"type": "object", "properties": {"k": TEXT, "v": TEXT}},
                **LIST_MAP,
            },
            "s": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
            "t": {"type": "array", "items": TEXT},
            "m": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": TEXT},
            "p": {PRESERVE: True},
        }
    )
    config = obj(l=[{"k": "a", "v": "1"}], s=["x"], t=["y"], m={"z": "1"}, p={"q": {"r": [1]}})
    now = "2026-01-02T03:04:05Z"
    live = apply.apply(found.definition, None, config, manager="one", force=False, now=now)
    fields = live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert fields == {
        "f:l": {'k:{"k":"a"}': {".": {}, "f:k": {}, "f:v": {}}},
        "f:m": {},
        "f:p": {"f:q": {".": {}, "f:r": {}}},
        "f:s": {'v:"x"': {}},
        "f:t": {},
    }
    other = obj(l=[{"k": "b"}], s=["w"], p={"q": {"n": 2}})
    merged = apply.apply(found.definition, live, other, manager="two", force=False, now=now)
    assert merged["spec"]["l"] == [{"k": "a", "v": "1"}, {"k": "b"}]
    assert merged["spec"]["s"] == ["x", "w"]
    assert merged["spec"]["p"] == {"q": {"r": [1], "n": 2}}
    changed = copy.deepcopy(merged)
    changed["spec"]["l"][0]["v"] = "2"
    managed.track_update(found.definition, merged, changed, manager="three", api_version="ex.io/v1", now=now)
    entry = next(e for e in changed["metadata"]["managedFields"] if e["manager"] == "three")
    assert orjson.dumps(entry["fieldsV1"]) == b'{"f:spec":{"f:l":{"k:{\\"k\\":\\"a\\"}":{"f:v":{}}}}}'


def test_a_change_of_the_schema_changes_the_name_under_which_fields_are_remembered() -> None:
    assert made({"a": TEXT}).definition.name != made({"a": {"type": "integer"}}).definition.name


def test_patterns_are_matched_in_linear_time() -> None:
    assert not patterns.compile("^(a+)+$")("a" * 5000 + "b")
    assert [patterns.compile("^[a-z]+$")(text) for text in ("abc", "abc\n")] == [True, False]


def test_versions_are_ordered_from_stable_to_alpha() -> None:
    names = ["v1alpha1", "foo", "v2", "v1beta1", "v10", "v1"]
    assert sorted(names, key=versions.rank) == ["v10", "v2", "v1", "v1beta1", "v1alpha1", "foo"]


def test_deprecated_versions_say_which_to_use() -> None:
    rows = [
        {"name": "v1alpha1", "served": True, "deprecated": True},
        {"name": "v1beta1", "served": True, "deprecated": True, "deprecationWarning": "gone soon"},
        {"name": "v1", "served": True},
    ]
    spec = {"group": "ex.io", "names": {"kind": "Foo", "plural": "foos"}, "versions": rows}
    said = [kind.CustomKind(spec, row).deprecation_warning for row in rows]
    assert said == ["ex.io/v1alpha1 Foo is deprecated; use ex.io/v1 Foo", "gone soon", ""]


def test_finalizers_without_a_domain_are_warned_of() -> None:
    metadata = {"finalizers": ["orphan", "a.b/c", "d.e", "f"]}
    said = kind.finalizer_warnings({"metadata": metadata}, {"metadata": {"finalizers": ["f"]}})
    assert [text[:53] for text in said] == ['metadata.finalizers: "d.e": prefer a domain-qualified']
