"""ResourceQuotas: what is refused, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
P = "spec.scopeSelector.matchExpressions"
APPLIED = "unsupported scope applied to resource"


def selecting(**requirement: Any) -> dict[str, Any]:
    return {"spec.scopeSelector": {"matchExpressions": [requirement]}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"spec.hard": {"pods": "1", "count/x.example.com": "2", "requests.example.com/gpu": "1"}}, []),
        (
            {"spec.hard": {"podz": "1"}},
            [
                'spec.hard[podz]: Invalid value: "podz": must be a standard resource type or fully qualified',
                'spec.hard[podz]: Invalid value: "podz": must be a standard resource for quota',
            ],
        ),
        (
            {"spec.hard": {"storage": "1"}},
            ['spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota'],
        ),
        ({"spec.hard": {"pods": "1500m"}}, ['spec.hard[pods]: Invalid value: "1500m": must be an integer']),
        (
            {"spec.hard": {"cpu": "-1"}},
            ['spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
        ),
        ({"spec.scopes": ["BestEffort"]}, []),
        (
            {"spec.hard": {"configmaps": "1"}, "spec.scopes": ["BestEffort"]},
            [f'spec.scopes: Invalid value: ["BestEffort"]: {APPLIED}'],
        ),
        (
            {"spec.scopes": ["Terminating", "NotTerminating", "x"]},
            [
                'spec.scopes: Invalid value: ["Terminating","NotTerminating","x"]: unsupported scope',
                'spec.scopes: Invalid value: ["Terminating","NotTerminating","x"]: conflicting scopes',
            ],
        ),
        (selecting(scopeName="PriorityClass", operator="In", values=["a"]), []),
        (
            selecting(scopeName="PriorityClass", operator="In"),
            [
                f"{P}.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' "
                "for scope selector"
            ],
        ),
        (
            selecting(scopeName="Terminating", operator="x"),
            [
                f"{P}.operator: Invalid value: \"x\": must be 'Exists' when scope is any of "
                "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity",
                f'{P}.operator: Invalid value: "x": not a valid selector operator',
            ],
        ),
    ],
)
def test_quota(refusals: Check, changes: dict[str, Any], expected: list[str]) -> None:
    assert refusals("resourcequotas", {"spec": {"hard": {"pods": "1"}}}, changes) == expected
