"""Which rule decides about which request, and which policies are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanokube.apiserver.audit import policy
from nanokube.apiserver.audit.policy import Level, Policy
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.requestinfo import RequestInfo

JANE = User("jane", ("dev", "system:authenticated"))
HEAD = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}


def of(*rules: dict[str, Any], **top: Any) -> Policy:
    return policy.parse({**HEAD, "rules": [{"level": "Metadata", **rule} for rule in rules], **top})[0]


def ask(
    resource: str = "pods", verb: str = "get", group: str = "", namespace: str = "ns", name: str = "n"
) -> RequestInfo:
    plural, _, sub = resource.partition("/")
    return RequestInfo(True, verb, "/x", group, "v1", plural, namespace, name, sub)


def path(text: str) -> RequestInfo:
    return RequestInfo(False, "get", text)


PODS = {"group": "", "resources": ["pods"]}


@pytest.mark.parametrize(
    ("rule", "info", "expected"),
    [
        ({}, ask(), True),
        ({}, path("/version"), True),
        ({"users": ["jane"]}, ask(), True),
        ({"users": ["joe"]}, ask(), False),
        ({"userGroups": ["ops", "dev"]}, ask(), True),
        ({"userGroups": ["ops"]}, ask(), False),
        ({"verbs": ["get"]}, ask(), True),
        ({"verbs": ["list"]}, ask(), False),
        ({"namespaces": ["ns"]}, ask(), True),
        ({"namespaces": ["other"]}, ask(), False),
        ({"namespaces": [""]}, ask("nodes", namespace=""), True),
        ({"namespaces": ["ns"]}, path("/version"), False),
        ({"resources": [PODS]}, ask(), True),
        ({"resources": [PODS]}, ask(group="apps"), False),
        ({"resources": [PODS]}, ask("pods/log"), False),
        ({"resources": [PODS]}, path("/version"), False),
        ({"resources": [{"group": ""}]}, ask("pods/log"), True),
        ({"resources": [{"group": "*", "resources": ["pods"]}]}, ask(group="x.io"), True),
        ({"resources": [{"resources": ["*"]}]}, ask("pods/log"), True),
        ({"resources": [{"resources": ["pods/log"]}]}, ask("pods/log"), True),
        ({"resources": [{"resources": ["pods/log"]}]}, ask("pods"), False),
        ({"resources": [{"resources": ["pods/*"]}]}, ask("pods/log"), True),
        ({"resources": [{"resources": ["pods/*"]}]}, ask("pods"), True),  # as upstream has it
        ({"resources": [{"resources": ["*/log"]}]}, ask("pods/log"), True),
        ({"resources": [{"resources": ["*/log"]}]}, ask("pods"), False),
        ({"resources": [{**PODS, "resourceNames": ["n"]}]}, ask(), True),
        ({"resources": [{**PODS, "resourceNames": ["m"]}]}, ask(), False),
        ({"nonResourceURLs": ["/version"]}, path("/version"), True),
        ({"nonResourceURLs": ["/healthz*"]}, path("/healthz/ping"), True),
        ({"nonResourceURLs": ["/healthz*"]}, path("/livez"), False),
        ({"nonResourceURLs": ["*"]}, path("/livez"), True),
        ({"nonResourceURLs": ["*"]}, ask(), False),
    ],
)
def test_a_rule_matches_by_all_it_says(rule: dict[str, Any], info: RequestInfo, *, expected: bool) -> None:
    found = of(rule).judge(JANE, info).level
    assert found == (Level.METADATA if expected else Level.NONE)


def test_nobody_matches_no_user() -> None:
    assert of({"users": ["jane"]}).judge(None, ask()).level == Level.NONE
    assert of({"userGroups": ["dev"]}).judge(None, ask()).level == Level.NONE
    assert of({}).judge(None, ask()).level == Level.METADATA


def test_the_first_rule_decides() -> None:
    rules = of({"level": "None", "verbs": ["get"]}, {"level": "RequestResponse"})
    assert rules.judge(JANE, ask()).level == Level.NONE
    assert rules.judge(JANE, ask(verb="list")).level == Level.REQUEST_RESPONSE


def test_stages_add_up_and_managed_fields_are_overridden() -> None:
    rules = of(
        {"omitStages": ["Panic"], "omitManagedFields": False, "verbs": ["get"]},
        {},
        omitStages=["RequestReceived"],
        omitManagedFields=True,
    )
    first, second = rules.judge(JANE, ask()), rules.judge(JANE, ask(verb="list"))
    assert first.omit_stages == {"Panic", "RequestReceived"}
    assert not first.omits_managed_fields
    assert second.omit_stages == {"RequestReceived"}
    assert second.omits_managed_fields


@pytest.mark.parametrize(
    ("tree", "cause"),
    [
        ({"apiVersion": "audit.k8s.io/v1beta1", "kind": "Policy"}, "unknown group version"),
        ({**HEAD, "rules": []}, "0 rules"),
        ({**HEAD}, "0 rules"),
        ([], "must be an object"),
        ({**HEAD, "rules": [{}]}, r"rules\[0\].level: Required value"),
        ({**HEAD, "rules": [{"level": "All"}]}, 'Unsupported value: "All"'),
        ({**HEAD, "rules": [{"level": "None", "omitStages": ["X"]}]}, r"omitStages\[0\]: Invalid value"),
        ({**HEAD, "omitStages": ["X"], "rules": [{"level": "None"}]}, "allowed stages are RequestReceived,"),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["x"]}]}, "must begin with a '/'"),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["/*/x"]}]}, "must be the final character"),
        (
            {**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["/"], "namespaces": ["n"]}]},
            "cannot apply to both",
        ),
        (
            {**HEAD, "rules": [{"level": "None", "resources": [{"resourceNames": ["n"]}]}]},
            "requires at least one resource",
        ),
        ({**HEAD, "rules": [{"level": "None", "resources": [{"group": "A/v1"}]}]}, "resources.group"),
        ({**HEAD, "rules": [{"level": "None", "verbs": "get"}]}, "must be a list"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(tree: Any, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        policy.parse(tree)


def test_unknown_fields_are_told_of_and_ignored() -> None:
    rule = {"level": "None", "verb": ["get"], "resources": [{"name": "x"}]}
    assert policy.parse({**HEAD, "rules": [rule], "rule": 1})[1] == [
        'unknown field "rule"',
        'unknown field "rules[0].verb"',
        'unknown field "rules[0].resources[0].name"',
    ]


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("kind: [")
    with pytest.raises(ValueError, match=r"cannot read audit policy .*p\.yaml"):
        policy.load(file)
