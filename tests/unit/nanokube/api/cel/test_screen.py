"""What is certain without the runtime is what the runtime says, for whatever is in the objects."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanokube.api.cel import admission, alike, merge, screen, types, writer
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.environment import Activation, Program
from nanokube.api.cel.errors import EvaluationError

SCALARS = st.one_of(
    st.sampled_from(["", "a", "ab", "web:1", "é", "9", "true", "a" * 300]),
    st.integers(-2, 3),
    st.booleans(),
    st.none(),
    st.floats(-1, 2, width=16),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "n"]), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.one_of(
    st.none(),
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "n": SCALARS, "l": st.lists(VALUES)}),
)
PATHS = st.sampled_from(
    [
        *(
            "object.a",
            "object.b",
            "object.n",
            "object.l",
            "object.a.b",
            "object.a.n",
            "object.a['b']",
            "oldObject",
        ),
        *("object.a[0]", "object.l[1]", "object.l[0].a", "object.?a.?b.orValue('a')", "object.?n.orValue(1)"),
        *("object.a[?'b'].orValue('')", "object.?a.b.orValue({})", "object.?l.orValue([])", "object"),
        *("c", "c.a", "c.b", "c.a.n", "d.a", "size(object.a)", "object.l.size()", "request.operation"),
        *("request.userInfo.groups", "request.name", "namespaceObject.metadata.name", "oldObject.a"),
        *("namespaceObject.metadata.labels", "namespaceObject.metadata.labels.a"),
    ]
)
TEXTS = st.sampled_from(["''", "'a'", "'ab'", "'web'", "'CREATE'", "'x{0}'", "'\\\\'|;'", "'é'"])
CONSTANTS = st.one_of(TEXTS, st.sampled_from(["0", "1", "2", "-1", "true", "false", "null", "1.0", "1u"]))
PATTERNS = st.sampled_from(["^a$", "b|^x", "(?i)WEB", "[0-9]+", "(?P<n>a)", ""])
LEAVES = st.one_of(
    st.builds("{} {} {}".format, PATHS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), CONSTANTS),
    st.builds("{2} {1} {0}".format, PATHS, st.sampled_from(["==", "!=", "<", ">="]), CONSTANTS),
    st.builds("{} {} {}".format, PATHS, st.sampled_from(["==", "!=", "<", ">="]), PATHS),
    st.builds("{} in [{}, {}]".format, PATHS, CONSTANTS, CONSTANTS),
    st.builds("{} in {}".format, CONSTANTS, PATHS),
    st.builds("{} in {}".format, PATHS, PATHS),
    st.builds("{}.{}({})".format, PATHS, st.sampled_from(["startsWith", "endsWith", "contains"]), TEXTS),
    st.builds("{}.matches('{}')".format, PATHS, PATTERNS),
    st.builds("has({}.{})".format, PATHS.filter(lambda p: "(" not in p), st.sampled_from(["a", "b", "name"])),
    st.builds("object.?a.?{}.hasValue()".format, st.sampled_from(["a", "b"])),
    PATHS,
)
RANGES = st.sampled_from(
    ["object.l", "object.a", "object.b", "c", "c.b", "object.?l.orValue([])", "object.l[0]"]
)
LOOPS = st.sampled_from(["exists", "all", "exists_one"])


def _join(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("{}.{}(c, {})".format, RANGES, LOOPS, inner),
        st.builds("{}.{}(c, d, {})".format, RANGES, st.sampled_from(["exists", "all"]), inner),
        st.builds("object.l.exists(object, {})".format, inner),
    )


CONDITIONS = st.recursive(LEAVES, _join, max_leaves=4)


def _compiled(source: str) -> Program | None:
    found = admission.compiled(Scope(), source, (types.BOOL,))
    return None if isinstance(found, str) else found


def _is_false(program: Program, values: dict[str, Any]) -> bool:
    try:
        return program.evaluate(Activation(values, admission.DECLARED)).value is False
    except EvaluationError:
        return False


def _values(obj: Any, old: Any = None) -> dict[str, Any]:
    return {
        "object": obj,
        "oldObject": old,
        "request": {"operation": "CREATE", "userInfo": {"username": "a", "groups": ["a", "b"]}},
        "namespaceObject": {"metadata": {"name": "a", "labels": {"a": "ab"}}},
    }


@settings(max_examples=300, deadline=None)
@given(
    st.lists(CONDITIONS, min_size=1, max_size=8),
    st.lists(st.tuples(OBJECTS, OBJECTS), min_size=1, max_size=4),
)
def test_certainly_false_is_false(sources: list[str], objects: list[tuple[Any, Any]]) -> None:
    programs = [found for source in sources if (found := _compiled(source)) is not None]
    programs = [program for program in programs if screen.is_known(program.tree)]
    if not programs:
        return
    trees = [program.tree for program in programs]
    whole, each = screen.whole(merge.any_of(trees)), screen.each(trees)
    for obj, old in objects:
        values = _values(obj, old)
        answers = each(values.__getitem__)
        for program, certain in zip(programs, answers, strict=True):
            assert not certain or _is_false(program, values), (program.source, values)
        if whole(values.__getitem__):
            assert all(_is_false(program, values) for program in programs), (sources, values)


def test_constants_of_all_kinds_looked_for_in_one_place_are_known_together() -> None:
    sources = ["object.a == 'x'", "object.a == 0", "object.a == true", "object.a == null"]
    programs = [program for source in sources if (program := _compiled(source)) is not None]
    whole = screen.whole(merge.any_of([program.tree for program in programs]))
    given: list[object] = ["x", 0, True, None, "y", {}]
    answers = [whole(_values({"a": value}).__getitem__) for value in given]
    assert answers == [False, False, False, False, True, False]


@pytest.mark.parametrize("value", [[], "x", 1, None, {}, {"b": 1}])
def test_a_field_of_an_optional_that_is_no_map_is_an_error_like_others(value: object) -> None:
    program = _compiled("object.?a.b.orValue('') == 'x' && oldObject == ''")
    assert program is not None
    assert _is_false(program, _values({"a": value}))


def test_texts_and_numbers_looked_for_in_one_place_are_known_together() -> None:
    sources = ["object.a == ''", "object.a == ''", "object.a == 'x'", "object.a == 0", "object.a == 1"]
    programs = [program for source in sources if (program := _compiled(source)) is not None]
    whole = screen.whole(merge.any_of([program.tree for program in programs]))
    answers = {value: whole(_values({"a": value}).__getitem__) for value in ("", "x", "y", 0, 1, 2)}
    assert answers == {"": False, "x": False, "y": True, 0: False, 1: False, 2: True}


POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "labels": {"app": "web"}},
    "spec": {
        "containers": [{"name": "c", "image": "web:1", "ports": [1, 2]}],
        "replicas": 3,
        "hostNetwork": True,
    },
}


@pytest.mark.parametrize(
    "condition",
    [
        "object.metadata.name == 'x'",
        "object.metadata.name != 'web-1'",
        "'x' == object.metadata.name",
        "object.metadata.name in ['x', 'y']",
        "object.spec.replicas in [1, 2]",
        "object.metadata.name.startsWith('x')",
        "object.metadata.name.endsWith('x')",
        "object.metadata.name.contains('x')",
        "object.metadata.name.matches('^x')",
        "size(object.metadata.name) > 200",
        "object.metadata.name.size() <= 2",
        "object.spec.replicas >= 4",
        "4 < object.spec.replicas",
        "has(object.metadata.annotations)",
        "has(object.metadata.annotations) && object.metadata.annotations.x == 'y'",
        "!has(object.metadata.labels)",
        "!has(object.metadata.labels) || !('app' in object.metadata.labels)",
        "'x' in object.metadata.labels",
        "'admins' in request.userInfo.groups",
        "request.userInfo.username == object.metadata.name",
        "object.metadata.?annotations.?x.orValue('') == 'y'",
        "object.metadata.?annotations[?'x'].orValue('') != ''",
        "object.metadata.?annotations.x.hasValue()",
        "'x' in object.metadata.?annotations.orValue({})",
        "object.spec.?volumes.orValue([]).exists(v, has(v.hostPath))",
        "object.spec.containers.exists(c, c.image == 'x')",
        "object.spec.containers.all(c, c.image.startsWith('registry/'))",
        "object.spec.containers.all(c, c.ports.all(p, p > 1))",
        "object.spec.containers.exists(c, has(c.env) && c.env.exists(e, e.value.contains('x')))",
        "object.spec.containers.exists_one(c, c.image == 'x')",
        "object.spec.containers.all(i, c, i > 0 || c.name == 'x')",
        "object.metadata.labels.exists(k, k.startsWith('x'))",
        "!object.spec.hostNetwork",
        "object.spec.hostNetwork == false",
        "object.spec.replicas > 1 ? object.spec.replicas == 2 : true",
        "namespaceObject.metadata.labels.a == 'b'",
        "oldObject != null",
        "false",
    ],
)
def test_what_is_common_is_found(condition: str) -> None:
    program = _compiled(condition)
    assert program is not None
    assert screen.is_known(program.tree)
    assert screen.is_cheap([program])
    values = _values(POD)
    assert _is_false(program, values)
    assert screen.whole(program.tree)(values.__getitem__)


@pytest.mark.parametrize(
    "condition",
    [
        "quantity(object.a).isGreaterThan(quantity('1'))",
        "namespaceObject.metadata.creationTimestamp == timestamp('2020-01-01T00:00:00Z')",
        "object == oldObject.a && namespaceObject.status.phase == 'Active'",
        "authorizer.group('').resource('pods').check('create').allowed()",
        "object.a.map(x, x + 1).exists(x, x == 1)",
    ],
)
def test_what_is_not_known(condition: str) -> None:
    program = _compiled(condition)
    assert program is not None
    assert not screen.is_known(program.tree)


@pytest.mark.parametrize(
    "predicate",
    [
        "object.spec.containers.exists(c, c.image.startsWith('registry-{}/'))",
        "object.spec.containers.all(c, c.image.startsWith('registry-{}/'))",
        "object.metadata.name.endsWith('-{}x')",
        "object.metadata.name.contains('-{}x')",
        "object.metadata.name.matches('-{}x')",
        "size(object.metadata.name) > {}0",
        "object.spec.replicas < -{}",
        "object.metadata.?annotations[?'a{}'].orValue('') != ''",
        "object.metadata.?labels[?'a{}'].orValue('') != ''",
        "'a{}' in object.metadata.labels",
        "has(object.metadata.annotations) && 'a{}' in object.metadata.annotations",
        "'a{0}' in object.metadata.labels && object.metadata.labels['a{0}'] == 'x'",
        "object.spec.containers.exists(c, c.name == 'a{0}' && c.image.startsWith('a{0}'))",
        "object.spec.containers.exists(c, c.image in ['a{0}', 'b'] && c.ports.exists(p, p == {0}))",
    ],
)
def test_many_alike_cost_little(predicate: str) -> None:
    programs = [found for n in range(2, 60) if (found := _compiled(predicate.format(n))) is not None]
    assert len(programs) == 58
    trees = [program.tree for program in programs]
    assert screen.whole(merge.any_of(trees))(_values(POD).__getitem__)


ALIKE = st.sampled_from(
    [
        "object.?a[?'{0}'].orValue('') != ''",
        "object.?a[?'{0}'].orValue('b') == 'b'",
        "!('{0}' in object.a)",
        "'{0}' in object.a && object.a['{0}'] == object.n",
        "object.a['{0}'] == 'a'",
        "object.n == '{0}' && object.l.exists(c, c == '{0}')",
        "object.n in ['{0}', 'b'] && !has(object.a.n)",
        "object.l.exists(c, c.n == '{0}' && c.?b.a.orValue('{0}') != 'x')",
        "object.l.exists(c, object.a == '{0}' && c[?'{0}'].hasValue())",
        "object.l.all(c, c.b == '{0}' && object.n != '{0}' || 'a' in c)",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ALIKE, min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "n", "ab", "x", "q"]), min_size=2, max_size=6, unique=True),
    st.lists(OBJECTS, min_size=1, max_size=6),
)
def test_those_that_are_alike(forms: list[str], texts: list[str], objects: list[Any]) -> None:
    sources = [form.format(text) for form in forms for text in texts]
    programs = [found for source in sources if (found := _compiled(source)) is not None]
    with mock.patch.object(alike, "MANY", 2):
        is_false = screen.whole(merge.any_of([program.tree for program in programs]))
    for obj in objects:
        values = _values(obj)
        if is_false(values.__getitem__):
            assert all(_is_false(program, values) for program in programs), (sources, values)


def test_what_is_large_is_not_looked_at() -> None:
    program = _compiled("object.items.exists(i, i.contains('x'))")
    assert program is not None
    is_false = screen.whole(program.tree)
    assert is_false(_values({"items": ["a"]}).__getitem__)
    assert not is_false(_values({"items": ["a" * (writer.LARGEST + 1)]}).__getitem__)
    assert not is_false(_values({"items": ["a"] * (writer.MOST + 1)}).__getitem__)


def test_what_is_dear_is_known() -> None:
    dear = "object.a.all(a, object.a.all(b, object.a.all(c, a == c)))"
    program = _compiled(dear)
    assert program is not None
    assert not screen.is_cheap([program])


def test_a_deep_one_is_not_written() -> None:
    program = _compiled("object.a == 1")
    assert program is not None
    tree = program.tree
    for _ in range(150):
        tree = merge.all_of([merge.balanced("_||_", [tree, program.tree]), program.tree])
    with pytest.raises(writer.Unknown):
        screen.whole(tree)
