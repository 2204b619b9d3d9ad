"""Definitions that replace others: what is fixed, and which old mistakes may stay."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nanokube.api import steps
from nanokube.api.custom import definition, spec_rules

TEXT = {"type": "string"}


def crd(
    properties: dict[str, Any] | None = None, *, is_established: bool = True, **spec: Any
) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties or {"a": TEXT}}},
    }
    found: dict[str, Any] = {
        "metadata": {"name": "foos.ex.io"},
        "spec": {
            "group": "ex.io",
            "scope": "Namespaced",
            "names": {"kind": "Foo", "plural": "foos"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
            **spec,
        },
    }
    if is_established:
        found["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    definition.apply_defaults(found)
    return found


def errors(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    return [f"{e.path}: {e.detail}" for e in steps.finish(definition.validate_update(new, old))]


def test_defaults_are_names_conversion_and_the_stored_version() -> None:
    found = crd(conversion={"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "s"}}}})
    assert found["spec"]["names"] == {
        "kind": "Foo",
        "plural": "foos",
        "singular": "foo",
        "listKind": "FooList",
    }
    assert found["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] == 443
    assert found["status"]["storedVersions"] == ["v1"]
    assert crd()["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.parametrize("is_established", [True, False])
def test_scope_and_kind_are_fixed_once_established(is_established: bool) -> None:
    names = {"kind": "Bar", "plural": "foos"}
    found = errors(crd(scope="Cluster", names=names), crd(is_established=is_established))
    expected = ["spec.scope: field is immutable", "spec.names.kind: field is immutable"]
    assert found == (expected if is_established else [])


def test_group_and_plural_are_always_fixed() -> None:
    found = errors(crd(group="b.io", names={"kind": "Foo", "plural": "bars"}), crd(is_established=False))
    assert found == ["spec.group: field is immutable", "spec.names.plural: field is immutable"]


def test_a_version_that_was_stored_stays_until_nothing_is() -> None:
    new = crd()
    new["spec"]["versions"][0]["name"] = "v2"
    new["status"]["storedVersions"] = ["v1", "v2"]
    (found,) = errors(new, crd())
    assert found.startswith("status.storedVersions[0]: missing from spec.versions; v1 was previously")


@pytest.mark.parametrize(
    ("before", "broken"),
    [
        ({"a": {"type": "foo"}}, "type"),
        ({"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}}, "map-type"),
        ({"a": {"type": "object", "default": {"z": 1}}}, "unknown fields"),
        (
            {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {**TEXT, "nullable": True}}},
            "nullable",
        ),
    ],
)
def test_what_was_wrong_before_the_rule_may_stay(before: dict[str, Any], broken: str) -> None:
    old, new = crd(before), crd({**before, "b": TEXT})
    assert errors(new, old) == []
    assert any(broken in text for text in errors(new, crd()))


def test_too_dear_rules_may_stay_if_the_schema_stays() -> None:
    dear = {
        "type": "array",
        "items": TEXT,
        "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y))"}],
    }
    old = crd({"a": dear})
    new = copy.deepcopy(old)
    new["spec"]["names"]["shortNames"] = ["f"]
    forbidden = (
        "spec.validation.openAPIV3Schema.properties[spec].properties[a].x-kubernetes-validations[0].rule"
    )
    said = [text for text in errors(new, old) if "estimated rule cost exceeds budget" in text]
    assert said == []
    assert any(text.startswith(forbidden) for text in errors(crd({"a": dear, "b": TEXT}), old))


def test_rules_of_integers_or_strings_cost_what_a_text_may_at_most() -> None:
    rule = {"rule": 'type(self) == int ? self > 1 : self == "x"'}
    either = {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": [rule]}
    assert steps.finish(definition.validate_create(crd({"a": either}))) == []


def test_preserving_unknown_fields_cannot_be_begun_but_kept() -> None:
    preserving = crd(preserveUnknownFields=True)
    assert any(
        text.startswith("spec.preserveUnknownFields: cannot set to true")
        for text in errors(preserving, crd())
    )
    assert not any("cannot set to true" in text for text in errors(preserving, copy.deepcopy(preserving)))


def test_a_bad_bundle_is_refused_only_where_there_was_a_good_one() -> None:
    def with_bundle(bundle: str) -> dict[str, Any]:
        client = {"url": "https://x.y", "caBundle": bundle}
        webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
        return crd(conversion={"strategy": "Webhook", "webhook": webhook})

    bad, empty = with_bundle("YQ=="), with_bundle("")
    assert errors(bad, copy.deepcopy(bad)) == []
    assert errors(bad, empty) == [
        "spec.conversion.webhookClientConfig.caBundle: "
        "unable to load root certificates: unable to parse bytes as PEM block"
    ]


def test_only_new_unknown_formats_are_warned_of() -> None:
    old, new = (
        crd({"a": {**TEXT, "format": "foo"}}),
        crd({"a": {**TEXT, "format": "foo"}, "b": {**TEXT, "format": "bar"}}),
    )
    assert definition.warnings(old) == ['unrecognized format "foo"']
    assert definition.warnings(new, old) == ['unrecognized format "bar"']


def test_protected_groups_need_approval() -> None:
    found = crd(group="a.k8s.io")
    assert definition.approval(found)[0] == "missing"
    for text, state in (("https://x.y/z", "approved"), ("unapproved, test", "bypassed"), ("bla", "invalid")):
        found["metadata"]["annotations"] = {definition.APPROVED: text}
        assert definition.approval(found)[0] == state
    assert not definition.is_protected("ex.io")


def test_what_is_not_changed_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = crd(), crd()
    new["metadata"]["annotations"] = {"a": "b"}
    monkeypatch.setattr(spec_rules, "validate", None)
    assert errors(new, old) == []
