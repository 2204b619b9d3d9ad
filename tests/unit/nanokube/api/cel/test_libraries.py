"""Every function that expressions may call has a row that calls it.

The rows here are for those that `test_environment` does not call.
Source: kubernetes.io, "Common Expression Language in Kubernetes"; cel-spec, standard functions.
"""

from __future__ import annotations

import inspect
import re

import pytest

from nanokube.api.cel import declarations, environment, types
from nanokube.api.cel.errors import EvaluationError
from nanokube.api.cel.library import authorization
from tests.unit.nanokube.api.cel import test_environment

ENV = environment.Environment({"authorizer": types.AUTHORIZER, "object": types.DYN})
TIME = "timestamp('2024-02-29T23:05:07.089Z')"  # a Thursday
FORMATS = {
    "dns1035Label": ("a-b", "1a"),
    "dns1035LabelPrefix": ("a-", "1a-"),
    "dns1123LabelPrefix": ("1a-", "A-"),
    "dns1123Subdomain": ("a.b", "a..b"),
    "dns1123SubdomainPrefix": ("a.b-", "A.b-"),
    "labelValue": ("", "a b"),
    "qualifiedName": ("a.b/C_d", "a/b/c"),
    "uri": ("https://h/p", "h p"),
    "byte": ("aGk=", "aGk"),
    "date": ("2024-02-29", "2023-02-29"),
    "datetime": ("2024-02-29T00:00:00Z", "2024-02-30T00:00:00Z"),
}
ROWS = (
    # conversions
    "bool('true') && !bool('false') && bytes('é') == b'\\xc3\\xa9'",
    "double('1.5') == 1.5 && double(2) == 2.0",
    "int('-3') == -3 && int(3.9) == 3 && int(timestamp('1970-01-01T00:01:00Z')) == 60 && uint('3') == 3u",
    "uint(3.9) == 3u && string(1.5) == '1.5' && string(b'hi') == 'hi' && string(duration('90s')) == '90s'",
    # texts
    "'abc'.charAt(1) == 'b' && 'abc'.charAt(3) == '' && 'tacocat'.substring(4) == 'cat'",
    "'tacocat'.substring(0, 4) == 'taco' && 'ABÉ'.lowerAscii() == 'abÉ' && 'abé'.upperAscii() == 'ABé'",
    "' \\t a b\\n'.trim() == 'a b' && 'kubernetes'.startsWith('kube') && !'kube'.startsWith('kubernetes')",
    "'a-a-a'.replace('-', '+', 1) == 'a+a-a' && strings.quote('a\"b\\n') == '\"a\\\\\"b\\\\n\"'",
    # times
    f"{TIME}.getFullYear() == 2024 && {TIME}.getMonth() == 1 && {TIME}.getDate() == 29",
    f"{TIME}.getDayOfMonth() == 28 && {TIME}.getDayOfWeek() == 4 && {TIME}.getDayOfYear() == 59",
    f"{TIME}.getHours() == 23 && {TIME}.getMinutes() == 5 && {TIME}.getSeconds() == 7",
    f"{TIME}.getDate('+02:00') == 1 && {TIME}.getHours('America/New_York') == 18",
    "duration('3h25m45s').getHours() == 3 && duration('3h25m45s').getMinutes() == 205",
    "duration('3h25m45s').getSeconds() == 12345",
    # optionals
    "!optional.none().hasValue() && optional.ofNonZeroValue(0).orValue(7) == 7",
    "optional.none().or(optional.of(1)).value() == 1",
    "optional.unwrap([optional.of(1), optional.none()]) == [1]",
    "[optional.of(2), optional.none()].unwrapOpt() == [2]",
    # quantities, versions, addresses
    "quantity('1.5').isLessThan(quantity('2')) && quantity('2').isInteger() && !quantity('1.5').isInteger()",
    "!quantity('9999999999999999999999999999999999999Ei').isInteger()",
    "semver('1.2.3').major() == 1 && semver('1.2.3').patch() == 3",
    "semver('1.2.3').compareTo(semver('1.3.0')) < 0",
    "semver('1.2.3').isLessThan(semver('1.2.10')) && semver('01.02', true).patch() == 0",
    "isCIDR('10.0.0.0/8') && isCIDR('::/0') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/33')",
    # whom the rules let do what
    "authorizer.group('').resource('pods').subresource('log').name('p').check('create').allowed()",
    "!authorizer.group('').resource('pods').fieldSelector('spec.nodeName=n').check('get').allowed()",
    "authorizer.group('').resource('pods').labelSelector('a in (b, c)').check('create').allowed()",
    *(
        f"!format.{name}().validate('{good}').hasValue() && format.{name}().validate('{bad}').hasValue()"
        for name, (good, bad) in FORMATS.items()
    ),
)


def ask(question: authorization.Question) -> authorization.Answer:
    return authorization.Answer(question.verb == "create" and question.resource == "pods", "by rule")


BOUND = environment.Activation({"authorizer": ask, "object": {}})


@pytest.mark.parametrize("source", ROWS)
def test_true_expressions(source: str) -> None:
    assert ENV.compile(source, returns=types.BOOL).evaluate(BOUND).value is True


@pytest.mark.parametrize(
    "source",
    [
        "bool('yes')",
        "int('x')",
        "uint(-1)",
        "'abc'.substring(4)",
        "'abc'.charAt(4)",
        "optional.none().value()",
        "quantity('9999999999999999999999999999999999999Ei').asInteger()",
        "timestamp('2024-01-01T00:00:00Z').getHours('Nowhere/City')",
        "quantity('x')",
        "semver('1.2')",
        "cidr('10.0.0.0/33')",
        "ip('::ffff:10.0.0.1')",
        "url('a b')",
    ],
)
def test_what_has_no_value_is_an_error(source: str) -> None:
    with pytest.raises(EvaluationError):
        ENV.compile(source).evaluate(BOUND)


def test_every_function_is_called() -> None:
    text = "\n".join((*ROWS, inspect.getsource(test_environment)))
    names = [name for name in declarations.functions(json_patch=True) if re.match("[a-z]", name)]
    internal = {"cel.@mapInsert"}
    missing = [n for n in names if n not in internal and not re.search(rf"\b{re.escape(n)}\(", text)]
    assert missing == []
