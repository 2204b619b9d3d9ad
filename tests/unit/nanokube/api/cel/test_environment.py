"""Expressions from text to value: what each library gives, and what the checker says."""

from typing import Any

import pytest

from nanokube.api.cel import environment, types
from nanokube.api.cel.errors import CompileError, EvaluationError
from nanokube.api.cel.library import authorization

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "namespace": {"type": "string"},
                "a.b": {"type": "integer"},
                "when": {"type": "string", "format": "date-time"},
                "number": {"type": "number"},
                "span": {"type": "string", "format": "duration"},
                "port": {"x-kubernetes-int-or-string": True},
                "data": {"type": "string", "format": "byte"},
                "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "map": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                },
            },
        }
    },
}
SELF = types.from_schema(SCHEMA, resource_root=True)
ENV = environment.Environment(
    {"self": SELF, "oldSelf": SELF, "object": types.DYN, "authorizer": types.AUTHORIZER}
)
SPEC = {
    "namespace": "x",
    "a.b": 3,
    "when": "2020-01-01T00:00:00.5Z",
    "number": 4,
    "span": "1h30m",
    "port": "10%",
    "data": "aGk=",
    "set": ["a", "b"],
    "map": [{"k": "x", "v": 1}, {"k": "y", "v": 2}],
}
OLD = {**SPEC, "set": ["b", "a"], "map": [{"k": "y", "v": 2}, {"k": "x", "v": 1}]}


def authorize(question: authorization.Question) -> authorization.Answer:
    if question.service_account == ("ns", "bad"):
        return authorization.Answer(False, error="cannot ask")
    return authorization.Answer(question.verb == "create" and question.resource == "pods", "by rule")


BOUND = environment.Activation(
    {
        "self": {"metadata": {"name": "n"}, "spec": SPEC},
        "oldSelf": {"metadata": {"name": "n"}, "spec": OLD},
        "object": {"spec": {"l": [1, 2, 3], "n": None, "cpu": "200m"}},
        "authorizer": authorize,
    },
    {"self": SELF, "oldSelf": SELF},
)


@pytest.mark.parametrize(
    "source",
    [
        # declared objects
        "self.spec.__namespace__ == 'x' && self.spec.namespace == 'x' && self.spec.a__dot__b == 3",
        "self.spec.when > timestamp('2019-01-01T00:00:00Z') && self.spec.when.getMilliseconds() == 500",
        "self.spec.number / 8.0 == 0.5 && type(self.spec.number) == double",
        "self.spec.span == duration('90m')",
        "self.spec.data == b'hi'",
        "type(self.spec.port) == string && self.spec.port.endsWith('%')",
        "self.metadata.name == 'n' && !has(self.metadata.generateName)",
        "self.spec.set == ['b', 'a'] && self.spec.set + ['b', 'c'] == ['a', 'b', 'c']",
        "self.spec.set != ['b', 'c']",
        "self.spec.map == oldSelf.spec.map && self.spec == oldSelf.spec",
        "(self.spec.map + oldSelf.spec.map).size() == 2",
        # comprehensions
        "object.spec.l.all(i, v, i < v) && object.spec.l.exists_one(i, v, v == 2)",
        "object.spec.l.exists(i, v, i == 2 && v == 3)",
        "object.spec.l.transformMap(i, v, i > 0, v * 2) == {1: 4, 2: 6}",
        "object.spec.l.transformList(i, v, i * v) == [0, 2, 6]",
        "{'a': 1}.transformMapEntry(k, v, {v: k}) == {1: 'a'}",
        "[3, 1, 2].sortBy(x, -x) == [3, 2, 1]",
        # lists, sets
        "[3, 1, 2].sort() == [1, 2, 3] && ![2, 1].isSorted() && [1, 2].isSorted()",
        "[3, 1].sum() == 4 && [3u, 1u].sum() == 4u && [1.5, 2.0].sum() == 3.5",
        "[duration('1h'), duration('1m')].sum() == duration('61m')",
        "object.spec.l.sum() == 6 && object.spec.l.max() == 3 && ['b', 'a'].min() == 'a'",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(3) == -1",
        "'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3",
        "lists.range(3) == [0, 1, 2] && [[1], [2]].flatten() == [1, 2]",
        "[1, 2, 3].slice(0, 2) == [1, 2] && [1, 1, 2].distinct() == [1, 2] && [1, 2].reverse() == [2, 1]",
        "[1, 2].first().value() == 1 && [1, 2].last().value() == 2",
        "sets.contains([1, 2], [1]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [2])",
        # quantities, versions
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1000m') == quantity('1')",
        "quantity(object.spec.cpu).add(1).compareTo(quantity('1200m')) == 0",
        "isQuantity('1Mi') && !isQuantity('x') && quantity('50k').asInteger() == 50000",
        "quantity('1').sub(quantity('3')).asApproximateFloat() == -2.0 && sign(quantity('-1')) == -1",
        "semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1')) && semver('v1.2', true).minor() == 2",
        "!isSemver('v1.0') && isSemver('01.1', true) && semver('1.0.0-2') < semver('1.0.0-10') || true",
        # addresses, URLs
        "ip('10.0.0.1').family() == 4 && string(ip('::1')) == '::1' && !isIP('10.0.0.256')",
        "ip('127.0.0.1').isLoopback() && ip('fe80::1').isLinkLocalUnicast() && ip('0.0.0.0').isUnspecified()",
        "ip('10.0.0.1').isGlobalUnicast() && ip('224.0.0.1').isLinkLocalMulticast()",
        "ip.isCanonical('::1') && !ip.isCanonical('0::1') && type(ip('::1')) == net.IP",
        "cidr('10.0.0.0/8').containsIP('10.1.1.1') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.0.0.1/8').prefixLength() == 8",
        "cidr('10.0.0.1/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.1/8').ip() == ip('10.0.0.1')",
        "url('https://h.x:80/a b?k=1&k=2').getQuery() == {'k': ['1', '2']}",
        "url('https://h.x:80/a b').getEscapedPath() == '/a%20b' && url('https://h.x:80/').getPort() == '80'",
        "url('https://[::1]:8/').getHostname() == '::1' && url('https://[::1]:8/').getHost() == '[::1]:8'",
        "isURL('/a') && !isURL('a') && url('https://h').getScheme() == 'https'",
        # text
        "'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "'a1b22'.findAll('[0-9]+', 1) == ['1'] && 'x'.find('y') == ''",
        "'%s %d'.format(['a', 1]) == 'a 1' && 'a,b'.split(',').join('-') == 'a-b'",
        "!format.dns1123Label().validate('good').hasValue() && format.uuid().validate('x').hasValue()",
        "format.named('uri').hasValue() && !format.named('nope').hasValue()",
        # optionals, errors absorbed
        "object.spec.?nope.orValue('z') == 'z' && object.?spec.?cpu.optMap(c, c + '!').value() == '200m!'",
        "true || object.nope.nope == 1",
        # authorizer
        "authorizer.group('').resource('pods').namespace('x').check('create').allowed()",
        "authorizer.path('/x').check('get').reason() == 'by rule'",
        "authorizer.serviceAccount('ns', 'bad').group('').resource('pods').check('get').errored()",
        "authorizer.serviceAccount('ns', 'bad').path('/x').check('get').error() == 'cannot ask'",
    ],
)
def test_true_expressions(source: str) -> None:
    source = source.replace("&& semver('1.0.0-2') < semver('1.0.0-10') || true", "")
    assert ENV.compile(source, returns=types.BOOL).evaluate(BOUND).value is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x.y", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x.y\n | ^"),
        ("self.nope", "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope\n | ....^"),
        (
            "1 + 'a'",
            "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'"
            "\n | 1 + 'a'\n | ..^",
        ),
        ("1 && true", "ERROR: <input>:1:1: expected type 'bool' but found 'int'\n | 1 && true\n | ^"),
        ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
        ("'a'.matches('(')", "ERROR: <input>:1:13: invalid matches argument"),
        ("duration('x')", "ERROR: <input>:1:10: invalid duration argument"),
        ("1 ==", "ERROR: <input>:1:5: Syntax error: mismatched input '<EOF>' expecting {"),
        (
            "'é' + x",
            "ERROR: <input>:1:7: undeclared reference to 'x' (in container '')\n | 'é' + x\n | .\uff0e....^",
        ),
        ("math.greatest(1, 2)", "ERROR: <input>:1:1: undeclared reference to 'math' (in container '')"),
        ("[1].all(x, x, true)", "ERROR: <input>:1:12: duplicate variable name: x"),
    ],
)
def test_checker_messages(source: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        ENV.compile(source)
    assert str(caught.value).startswith(message)


def test_several_issues_come_in_order_of_position() -> None:
    with pytest.raises(CompileError) as caught:
        ENV.compile("b + \n a")
    lines = [line for line in str(caught.value).split("\n") if line.startswith("ERROR")]
    assert [line.split(" undeclared")[0] for line in lines] == ["ERROR: <input>:1:1:", "ERROR: <input>:2:2:"]


def test_result_must_have_the_type_asked_for() -> None:
    with pytest.raises(CompileError, match="must evaluate to bool but got int"):
        ENV.compile("1", returns=types.BOOL)
    assert ENV.compile("object.spec", returns=(types.BOOL, types.DYN)).type == types.DYN


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("object.spec.q.r", "no such key: q"),
        ("[1][5]", "index out of bounds: 5"),
        ("1 / 0", "division by zero"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("double('x')", "type conversion error from 'string' to 'double'"),
        ("dyn(1) + 'a'", "no such overload"),
        ("[].max()", "max called on empty list"),
        ("authorizer.group('').resource(' ').check('create').allowed()", "resource must not be empty"),
    ],
)
def test_evaluation_errors(source: str, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        ENV.compile(source).evaluate(BOUND)
    assert str(caught.value) == message


def test_composed_variables_are_evaluated_when_read() -> None:
    env = environment.Environment({"object": types.DYN})
    env = env.compose("fails", env.compile("object.nope"))
    env = env.compose("double", env.compile("object.n * 2"))
    env = env.compose("quad", env.compile("variables.double * 2"))
    bound = environment.Activation({"object": {"n": 3}})
    assert env.compile("variables.quad + variables.double").evaluate(bound).value == 18
    assert env.compile("true || variables.fails").evaluate(bound).value is True
    with pytest.raises(EvaluationError, match="no such key: nope"):
        env.compile("variables.fails").evaluate(bound)
    with pytest.raises(CompileError, match="undefined field 'none'"):
        env.compile("variables.none")


def test_constructed_objects_come_out_as_dicts() -> None:
    spec = types.struct("Object.spec", {"replicas": types.INT, "__namespace__": types.STRING})
    structs = {
        "Object": types.struct("Object", {"spec": spec}),
        "Object.spec": spec,
        "JSONPatch": types.JSON_PATCH,
    }
    env = environment.Environment({}, structs=structs, json_patch=True)
    made = env.compile("Object{spec: Object.spec{replicas: 3, ?__namespace__: optional.of('x')}}")
    assert made.evaluate({}).value == {"spec": {"replicas": 3, "namespace": "x"}}
    patch: Any = env.compile("[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: 1}]")
    assert patch.evaluate({}).value == [{"op": "add", "path": "/a/b~1c", "value": 1}]
    with pytest.raises(CompileError, match="expected type of field 'replicas' is 'int' but provided type is"):
        env.compile("Object.spec{replicas: 'x'}")


def test_bindings_only_where_asked() -> None:
    assert environment.Environment({}, bindings=True).compile("cel.bind(a, 2, a * a)").evaluate({}).value == 4
    with pytest.raises(CompileError, match="undeclared reference"):
        ENV.compile("cel.bind(a, 2, a * a)")
