"""Conditions evaluated together say of each what it says alone."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanokube.api.cel import admission, merge, syntax, types
from nanokube.api.cel import batch as batch_of
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.batch import CHEAP, Batch, Together
from nanokube.api.cel.environment import Activation, Program
from nanokube.api.cel.errors import EvaluationError

OBJ: dict[str, Any] = {
    "metadata": {"name": "web-1", "labels": {"app": "web", "n": "1"}},
    "spec": {
        "containers": [{"name": "a", "image": "web:1", "ports": [80, 443]}, {"name": "b"}],
        "replicas": 2,
        "paused": False,
        "nothing": None,
    },
}
FIELDS = st.sampled_from(
    [
        "object.metadata.name",
        "object.metadata.labels.app",
        "object.metadata.labels.missing",
        "object.metadata.labels",
        "object.spec.replicas",
        "object.spec.nothing",
        "object.missing.deep",
        "oldObject.metadata.name",
        "request.operation",
        "object.spec.containers[0].image",
        "c.image",
        "c.name",
    ]
)
CONSTANTS = st.sampled_from(["'web-1'", "'web:1'", "'web'", "'a'", "1", "2", "2.0", "2u", "true", "null"])
PATTERNS = st.sampled_from(
    ["^web-.$", "^a$", "b|^x", "(?i)WEB", "web:[0-9]+", "(?P<n>web)", "\\\\\\\\Qweb", ""]
)
OPERATORS = st.sampled_from(["==", "!=", "<"])
LEAVES = st.one_of(
    st.builds("{} {} {}".format, FIELDS, OPERATORS, CONSTANTS),
    st.builds("{1} == {0}".format, FIELDS, CONSTANTS),
    st.builds("{} in [{}, {}]".format, FIELDS, CONSTANTS, CONSTANTS),
    st.builds("{}.matches('{}')".format, FIELDS, PATTERNS),
    st.builds("has({})".format, FIELDS.filter(lambda field: "[" not in field)),
    st.builds("size({}) > {}".format, FIELDS, st.integers(0, 6)),
    st.builds("{}.startsWith('we')".format, FIELDS),
    st.builds("quantity({}).isGreaterThan(quantity('1'))".format, FIELDS),
)
RANGES = st.sampled_from(
    ["object.spec.containers", "object.metadata.labels", "object.spec.missing", "[1, 2]"]
)


def _join(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("{}.{}(c, {})".format, RANGES, st.sampled_from(["exists", "all", "exists_one"]), inner),
        st.builds("object.spec.containers.exists(object, {})".format, inner),
    )


CONDITIONS = st.recursive(LEAVES, _join, max_leaves=5)


def _compiled(source: str) -> Program | None:
    found = admission.compiled(Scope(), source, (types.BOOL,))
    return None if isinstance(found, str) else found


def _alone(program: Program, bound: Activation) -> bool | str:
    try:
        return bool(program.evaluate(bound).value)
    except EvaluationError as err:
        return str(err)


def _bound(obj: Any = OBJ) -> Activation:
    values = {"object": obj, "oldObject": None, "request": {"operation": "CREATE"}}
    return Activation(values, admission.DECLARED)


@mock.patch.object(batch_of, "CHEAP", 10**9)
@settings(max_examples=60, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=12))
def test_together_as_alone(sources: list[str]) -> None:
    # c is a variable of loops only: what reads it elsewhere does not compile
    programs = [found for source in sources if (found := _compiled(source)) is not None]
    if not programs:
        return
    bound = _bound()
    expected = [n for n, program in enumerate(programs) if _alone(program, bound) is not False]
    batches = [
        Batch([[program] for program in each]) for each in (programs, programs[:3], programs[3:]) if each
    ]
    assert sorted(batches[0].undecided(bound)) == expected
    assert Together(batches).is_false(bound) is not bool(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(LEAVES, min_size=1, max_size=3), min_size=1, max_size=6))
def test_of_several_one_that_is_false_decides(members: list[list[str]]) -> None:
    programs = [[found for s in sources if (found := _compiled(s)) is not None] for sources in members]
    programs = [each for each in programs if each]
    if not programs:
        return
    bound = _bound()
    expected = [n for n, each in enumerate(programs) if all(_alone(p, bound) is not False for p in each)]
    assert sorted(Batch(programs).undecided(bound)) == expected


def _batch(*sources: str) -> Batch:
    programs = [_compiled(source) for source in sources]
    return Batch([[program] for program in programs if program is not None])


def test_what_is_dear_is_left_alone() -> None:
    dear = (
        "object.spec.containers.all(a, object.spec.containers.all(b, object.spec.containers.all(c, a == c)))"
    )
    batch = _batch("object.metadata.name == 'x'", dear, "object.metadata.name == 'y'")
    assert batch.undecided(_bound()) == [1]
    program = _compiled(dear)
    assert program is not None
    assert program.evaluate(_bound()).cost < CHEAP  # here: it is known by the sizes only, which may be others


def test_large_values_are_left_alone() -> None:
    batch = _batch("object.items.exists(i, i.contains('x'))", "object.items.exists(i, i == 'y')")
    assert batch.undecided(_bound({"items": ["a"]})) == []
    assert list(batch.undecided(_bound({"items": ["a" * 1000] * 1000}))) == [0, 1]
    assert batch.undecided(_bound({"items": ["b"]})) == []


def test_too_many_turns_are_left_alone() -> None:
    sources = [f"object.items.all(i, i != {n}) && object.items.exists(i, i == -1)" for n in range(-120, -1)]
    batch = _batch(*sources)
    bound = _bound({"items": list(range(200))})
    assert list(batch.undecided(bound)) == list(range(len(sources)))


@pytest.mark.parametrize(
    ("sources", "functions"),
    [
        (["object.a == 1", "2 == object.a", "object.a in [3, 4]"], ["@in"]),
        (["object.a.matches('x')", "object.a.matches('y')"], [merge.MATCHES]),
        (["has(object.a) && object.a == 1", "has(object.a) && object.a == 2"], ["_&&_", "@in"]),
        (["object.a == 1", "object.a == 1"], ["_==_"]),
        (["object.a == 1 || object.b == 1", "object.a == 2"], ["_||_", "@in", "_==_"]),
    ],
)
def test_what_goes_together_is_one(sources: list[str], functions: list[str]) -> None:
    programs = [found for source in sources if (found := _compiled(source)) is not None]
    assert len(programs) == len(sources)
    tree = merge.any_of([program.tree for program in programs])
    assert [node.function for node in syntax.walk(tree) if isinstance(node, syntax.Call)] == functions


def test_loops_over_one_list_are_one() -> None:
    sources = [f"object.spec.containers.exists(c, c.image == 'x:{n}')" for n in range(9)]
    trees = [found.tree for source in sources if (found := _compiled(source)) is not None]
    tree = merge.any_of(trees)
    assert isinstance(tree, syntax.Fold)
    assert len(list(syntax.walk(tree))) < 40
