"""What conditions read: where the text of that is the same, so is the answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nanokube.api.cel import admission, inputs, types
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.environment import Activation, Program
from nanokube.api.cel.errors import EvaluationError
from nanokube.api.cel.inputs import How

# few, so that many objects have the same text
POOL: list[Any] = [
    *(None, 0, 1, 1.0, True, "", "a", "ab", [], {}, ["a"], ["b"], ["a", "b"], [None], [["a"]]),
    *([{"a": "a"}], [{"a": "a", "b": "b"}], [{"a": "b", "b": "b"}], [{"b": None}], [{"a": "a"}, {"a": "x"}]),
    *({"a": "a"}, {"b": "a"}, {"b": "x"}, {"b": None}, {"a": 1, "b": "a"}, {"a": ["a"]}, {"a": ["b"]}),
    *({"b": {"a": "a"}}, {"b": {"a": "b"}}, {"b": {"b": "b"}}, {"list": 1}, [{"b": "a"}, {"b": "a"}]),
]
OBJECTS: list[Any] = [
    None,
    {},
    *({"a": a} for a in POOL),
    *({"a": a, "b": b} for a in POOL for b in POOL[::4]),
]
PATHS = st.sampled_from(
    [
        *(
            "object.a",
            "object.a.b",
            "object.b[0]",
            "object.a['b']",
            "object.?a.?b.orValue('')",
            "object.a[?'b']",
        ),
        *("size(object.b)", "size(object.a)", "object.a[0].b", "type(object.a)", "string(object.b)"),
        *(
            "object.?b.orValue([])",
            "oldObject.a",
            "object",
            "object.a.map(e, e.b)",
            "object.b.filter(e, e == 1)",
        ),
        *(
            "object.a.map(e, f, f)",
            "object.?a.b.hasValue()",
            "object.a.map(e, e.b == 'a', e.a)",
            "request.name",
        ),
    ]
)
INSIDE = st.one_of(PATHS, st.sampled_from(["c", "c.a", "c.b", "c[0]", "size(c)"]))
RANGES = st.sampled_from(
    ["object.a", "object.b", "object.a.map(e, e.a)", "object.?a.orValue([])", "object.a.b"]
)


def _leaves(paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    owners = paths.filter(lambda path: path[-1] not in ")]")
    return st.one_of(
        st.builds("{} {} {}".format, paths, st.sampled_from(["==", "<", "in"]), paths),
        st.builds("{} == {}".format, paths, st.sampled_from(["'a'", "1", "[]", "null"])),
        st.builds("{0} + {0} == {1}".format, paths, paths),
        st.builds("has({}.{})".format, owners, st.sampled_from(["a", "b"])),
        st.builds("size({}) > {}".format, paths, st.integers(0, 2)),
    )


def _join(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || !{})".format, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    )


LOOPS = st.one_of(
    st.builds(
        "{}.{}(c, {})".format, RANGES, st.sampled_from(["exists", "all", "exists_one"]), _leaves(INSIDE)
    ),
    st.builds("{}.{}(d, c, {})".format, RANGES, st.sampled_from(["exists", "all"]), _leaves(INSIDE)),
)
CONDITIONS = st.recursive(st.one_of(_leaves(PATHS), LOOPS), _join, max_leaves=3)


def _compiled(source: str) -> Program | None:
    found = admission.compiled(Scope(), source, (types.BOOL,))
    return None if isinstance(found, str) else found


def _answer(program: Program, values: dict[str, Any]) -> object:
    try:
        return program.evaluate(Activation(values, admission.DECLARED)).value
    except EvaluationError as err:
        return str(err)


@settings(max_examples=150, deadline=None)
@given(CONDITIONS)
@example("object.a.exists(c, c.a == 'x')")
@example("object.a.exists(c, true)")
@example("object.a.all(d, c, c.b == 'b')")
@example("object.a.all(c, has(c.b))")
@example("object.a.map(c, c.a).exists(c, c == 'x')")
@example("object.?a.b.hasValue()")
@example("object.?a.b.orValue('a') == 'a'")
@example("object.a.b + 'x' == 'ax'")
def test_the_same_text_has_the_same_answer(source: str) -> None:
    program = _compiled(source)
    if program is None:
        return
    reads = inputs.of([program.tree])
    assert reads is not None
    text_of, answers = inputs.text_of(reads), dict[bytes, object]()
    for obj in OBJECTS:
        values = {"object": obj, "oldObject": {"a": "a"}, "request": {"name": "a"}}
        text = text_of(values.get)
        assert text is not None
        answer = _answer(program, values)
        assert answers.setdefault(text, answer) == answer, (source, text, obj)


@pytest.mark.parametrize(
    ("source", "path", "how"),
    [
        ("object.a.b == 'x'", ("object", "a", "b"), How.WHOLE),
        ("has(object.a.b)", ("object", "a", "b"), How.PRESENCE),
        ("size(object.a) > 1", ("object", "a"), How.SIZE),
        ("object.a.map(c, c.b + 'x').exists(i, i == 'y')", ("object", "a", 0, "b"), How.WHOLE),
        (
            "object.?a.orValue([]).exists(c, c.?b.orValue('') + 'x' == 'y')",
            ("object", "a", 0, "b"),
            How.WHOLE,
        ),
        ("object.a.all(k, v, v.b + k == 'y')", ("object", "a", 0, "b"), How.WHOLE),
    ],
)
def test_only_what_is_read(source: str, path: inputs.Path, how: How) -> None:
    program = _compiled(source)
    assert program is not None
    reads = inputs.of([program.tree])
    assert reads is not None
    assert (path, how) in reads
    assert len([each for each in reads if each[0][-1] != inputs.ITEMS]) == 1


def test_what_asks_others_is_not_known() -> None:
    program = _compiled("authorizer.path('/x').check('get').allowed()")
    assert program is not None
    assert inputs.of([program.tree]) is None


def test_what_json_has_no_text_for() -> None:
    text_of = inputs.text_of(frozenset({(("object", "a"), How.WHOLE)}))
    assert text_of({"object": {"a": 1 << 70}}.get) is None
    assert text_of({"object": {"a": 1, "b": 1 << 70}}.get) == b'[{"a":1}]'
