"""Conditions of definitions."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.extensions import definitions
from tests.unit.nanokube.apiserver import custom_kinds

NOW = "2026-01-01T00:00:00Z"


def conditions(crd: dict[str, Any]) -> dict[str, tuple[str, str]]:
    definitions.settle(crd, [], NOW)
    return {c["type"]: (c["status"], c["reason"]) for c in crd["status"]["conditions"]}


def test_a_sound_definition_is_accepted_and_established() -> None:
    assert conditions(custom_kinds.definition()) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", ("False", "MissingAnnotation")),
        ("https://example.com/1", ("True", "ApprovedAnnotation")),
        ("unapproved, a test", ("False", "UnapprovedAnnotation")),
        ("bla", ("False", "InvalidAnnotation")),
    ],
)
def test_protected_groups_show_their_approval(said: str, expected: tuple[str, str]) -> None:
    crd = custom_kinds.definition()
    crd["spec"]["group"] = "example.k8s.io"
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": said}
    assert conditions(crd)["KubernetesAPIApprovalPolicyConformant"] == expected


def test_old_definitions_may_not_be_structural_until_they_are_mended() -> None:
    crd = custom_kinds.definition()
    crd["spec"]["preserveUnknownFields"] = True
    assert conditions(crd)["NonStructuralSchema"] == ("True", "Violations")
    (found,) = (c for c in crd["status"]["conditions"] if c["type"] == "NonStructuralSchema")
    assert found["message"] == "spec.preserveUnknownFields: Invalid value: true: must be false"
    crd["spec"]["preserveUnknownFields"] = False
    assert "NonStructuralSchema" not in conditions(crd)
