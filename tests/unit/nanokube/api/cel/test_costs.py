"""Costs of expressions: what definitions are refused for, and what stops an evaluation."""

import time
from typing import Any

import pytest

from nanokube.api.cel import environment, types
from nanokube.api.cel.errors import BudgetExceeded, EvaluationError

TEXT = {"type": "string"}
SHORT = {"type": "string", "maxLength": 5}
NUMBERS = {"type": "array", "items": {"type": "number"}}


def declared(schema: dict[str, Any]) -> environment.Environment:
    known = types.from_schema(schema)
    return environment.Environment({"self": known, "oldSelf": known})


@pytest.mark.parametrize(
    ("schema", "source", "most"),
    [
        # 3 MiB of JSON hold so many elements of the least size; each turn costs 3
        (NUMBERS, "self.all(x, true)", (3 * 1024 * 1024 - 2) // 2 * 3 + 2),
        ({**NUMBERS, "maxItems": 10}, "self.all(x, true)", 32),
        ({**NUMBERS, "maxItems": 10}, "self.all(x, self.all(y, true))", 352),
        ({**NUMBERS, "maxItems": 0}, "self.all(x, true)", 2),
        ({"type": "object", "additionalProperties": TEXT, "maxProperties": 3}, "self.all(k, true)", 11),
        (
            {"type": "array", "items": {"type": "string", "format": "duration"}, "maxItems": 5},
            "self.all(x, true)",
            17,
        ),
        (TEXT, "self.startsWith('test')", 2),
        (SHORT, "self.contains('test')", 3),
        (SHORT, "self.matches('ab')", 4),
        (SHORT, "self + self == 'x'", 7),
        (SHORT, "self.find('[0-9]+') == ''", 7),
        ({"type": "integer"}, "self == 1 || self > 2", 3),
        ({"type": "object", "properties": {"a": TEXT}}, "has(self.a)", 1),
        ({"type": "object", "properties": {"a": SHORT}}, "self.a == oldSelf.a", 6),
        ({"type": "object", "properties": {}}, "quantity('1Gi').isLessThan(quantity('2'))", 3),
        ({"type": "object", "properties": {}}, "cidr('10.0.0.0/8').containsIP('10.0.0.1')", 6),
        ({"type": "object", "properties": {}}, "sets.contains([1, 2], [1])", 23),
        ({"type": "object", "properties": {}}, "[3, 1, 2].sort() == [1]", 50),
    ],
)
def test_worst_case(schema: dict[str, Any], source: str, most: int) -> None:
    assert declared(schema).compile(source).cost()[1] == most


def test_authorization_checks_are_dear() -> None:
    env = environment.Environment({"authorizer": types.AUTHORIZER})
    source = "authorizer.path('/x').check('get').allowed()"
    assert env.compile(source).cost() == (350_003, 350_003)


ANY = environment.Environment({"self": types.DYN}, bindings=True)
HOSTILE = [
    ("self.all(x, self.all(y, self.all(z, x + y + z >= 0)))", list(range(150))),
    ("self.all(x, self.all(y, x + y >= 0))", list(range(700))),
    ("self.all(x, self.map(y, y + x).size() > 0)", list(range(600))),
    ("self.matches(self)", "a" * 100_000),
    ("self.transformMap(i, v, self).size() > 0", list(range(3000))),
    (
        "cel.bind(a, self + self + self + self, cel.bind(b, a + a + a + a + a + a + a + a,"
        " cel.bind(c, b + b + b + b + b + b + b + b, (c + c + c + c + c + c + c + c).size() > 0)))",
        "x" * 5000,
    ),
]


@pytest.mark.parametrize(("source", "value"), HOSTILE)
def test_hostile_expressions_are_stopped(source: str, value: Any) -> None:
    program = ANY.compile(source)
    start = time.process_time()
    with pytest.raises(BudgetExceeded, match="actual cost limit exceeded"):
        program.evaluate({"self": value}, budget=200_000)
    assert time.process_time() - start < 10  # unbounded they would take hours; the host may be busy


@pytest.mark.parametrize(
    ("source", "value", "result"),
    [
        # more turns than the runtime makes in one evaluation
        ("self.all(x, x >= 0)", list(range(20_000)), True),
        ("self.exists(x, x == 19999)", list(range(20_000)), True),
        ("self.all(x, self.exists(y, x == y))", list(range(150)), True),
        ("self.map(x, x * 2).size()", list(range(12_000)), 12_000),
        ("self.filter(x, x % 2 == 0).map(y, y + 1)[5999]", list(range(12_000)), 11_999),
        ("self.exists_one(x, x == 7)", list(range(12_000)), True),
        ("self.all(i, v, i == v)", list(range(12_000)), True),
        ("self.map(x, self.map(y, y).size()).size()", list(range(105)), 105),
        ("size(self) > 5 && self.exists(x, x.nope == 1 || x == 11999)", list(range(12_000)), True),
    ],
)
def test_long_loops_are_evaluated(source: str, value: Any, result: Any) -> None:
    assert ANY.compile(source).evaluate({"self": value}).value == result


def test_a_fault_in_a_long_loop_is_told() -> None:
    with pytest.raises(EvaluationError, match="division by zero"):
        ANY.compile("self.map(x, 1 / (x - 11000)).size() > 0").evaluate({"self": list(range(12_000))})


def test_budget_counts_what_the_data_holds() -> None:
    program = ANY.compile("self.all(x, x != 'no')")
    small = program.evaluate({"self": ["a"] * 10}).cost
    large = program.evaluate({"self": ["a"] * 1000}).cost
    assert small < 200 < large < 20_000
    with pytest.raises(BudgetExceeded):
        program.evaluate({"self": ["a"] * 1000}, budget=500)


def test_a_loop_that_ends_early_costs_its_turns() -> None:
    program = ANY.compile("self.all(x, x < 10 && self.all(y, y >= 0))")
    assert program.evaluate({"self": list(range(1000))}, budget=200_000).value is False
