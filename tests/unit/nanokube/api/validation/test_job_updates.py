"""What of a Job may change, and how its status may go on: as a real API server answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.nanokube.api.validation.conftest import Changes

Check = Callable[[str, dict[str, Any], Changes, Changes], list[str]]

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"
POD: Changes = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "b"}]}
JOB: Changes = {
    "spec": {
        "manualSelector": True,
        "selector": {"matchLabels": {"a": "b"}},
        "completions": 3,
        "parallelism": 2,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD},
    },
    "status": {},
}
IMMUTABLE = "field is immutable"


def conditions(*types: str) -> list[dict[str, str]]:
    return [{"type": each, "status": "True"} for each in types]


INDEXED: Changes = {"spec.completionMode": "Indexed"}
DONE: Changes = {
    "startTime": AT,
    "completionTime": LATER,
    "conditions": conditions("SuccessCriteriaMet", "Complete"),
}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"spec.parallelism": 5}, []),
        ({}, {"spec.completions": 4}, [f"spec.completions: Invalid value: 4: {IMMUTABLE}"]),
        (INDEXED, {"spec.completions": 5, "spec.parallelism": 5}, []),
        (
            INDEXED,
            {"spec.completions": 5},
            ["spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"],
        ),
        ({}, {"spec.managedBy": "a.b/c"}, [f'spec.managedBy: Invalid value: "a.b/c": {IMMUTABLE}']),
        (
            INDEXED,
            {"spec.successPolicy": {"rules": [{"succeededCount": 1}]}},
            [f'spec.successPolicy: Invalid value: {{"rules":[{{"succeededCount":1}}]}}: {IMMUTABLE}'],
        ),
    ],
)
def test_what_may_change(
    update_refusals: Check, before: Changes, after: Changes, expected: list[str]
) -> None:
    assert update_refusals("jobs.batch", JOB, before, after) == expected


def test_a_waiting_job_may_be_given_other_resources_and_places(update_refusals: Check) -> None:
    pod: Changes = {
        **POD,
        "nodeSelector": {"k": "v"},
        "affinity": {"nodeAffinity": {}},
        "containers": [{"name": "c", "image": "b", "resources": {"limits": {"cpu": "1"}}}],
    }
    after: Changes = {"spec.template.spec": pod, "spec.template.metadata.annotations": {"x": "y"}}
    waiting: Changes = {"spec.suspend": True}
    assert update_refusals("jobs.batch", JOB, waiting, after) == []
    stopped = {**waiting, "status": {"startTime": AT, "conditions": conditions("Suspended")}}
    assert update_refusals("jobs.batch", JOB, stopped, after) == []
    for held in ({}, {**waiting, "status": {"active": 1}}, {**waiting, "status": {"startTime": AT}}):
        (refusal,) = update_refusals("jobs.batch", JOB, held, after)
        assert refusal.startswith("spec.template: ")
    (refusal,) = update_refusals(
        "jobs.batch", JOB, waiting, {"spec.template.spec": {**pod, "dnsPolicy": "None"}}
    )[-1:]
    assert refusal.startswith("spec.template.spec: ")
    assert refusal.endswith(IMMUTABLE)


@pytest.mark.parametrize(
    ("spec", "before", "after", "expected"),
    [
        ({}, {}, {"startTime": AT, "active": 2, "ready": 1, "terminating": 0}, []),
        ({}, {}, DONE, []),
        ({}, {}, {"active": -1}, ["active: Invalid value: -1: must be greater than or equal to 0"]),
        ({}, {}, {"ready": 1}, ["ready: Invalid value: 1: cannot set more ready pods than active"]),
        (
            {},
            {},
            {"uncountedTerminatedPods": {"succeeded": ["", "u"], "failed": ["u"]}},
            [
                'uncountedTerminatedPods.succeeded[0]: Invalid value: "": must not be empty',
                'uncountedTerminatedPods.failed[0]: Duplicate value: "u"',
            ],
        ),
        (
            {},
            {},
            {"conditions": conditions("Complete", "Failed", "FailureTarget")},
            [
                "conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
                "conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions",
                "completionTime: Required value: completionTime is required for Complete jobs",
                "conditions: Invalid value: "
                "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
                "startTime: Required value: startTime is required for finished job",
            ],
        ),
        (
            {},
            {"startTime": LATER},
            {"startTime": LATER, "completionTime": AT},
            [
                f'completionTime: Invalid value: "{AT}": '
                "cannot set completionTime when there is no Complete=True condition",
                f'completionTime: Invalid value: "{AT}": must be equal to or after `startTime`',
            ],
        ),
        (
            {},
            {},
            {
                **DONE,
                "active": 1,
                "terminating": 2,
                "uncountedTerminatedPods": {"failed": ["u"]},
            },
            [
                "active: Invalid value: 1: active>0 is invalid for finished job",
                'uncountedTerminatedPods: Invalid value: {"Succeeded":null,"Failed":["u"]}: '
                "must be empty for finished job",
                "terminating: Invalid value: 2: terminating>0 is invalid for finished job",
            ],
        ),
        (
            {},
            {},
            {"completedIndexes": "x", "failedIndexes": "1"},
            [
                'completedIndexes: Invalid value: "x": error parsing completedIndexes: '
                'cannot convert string to integer for index: "x"',
                'completedIndexes: Invalid value: "x": '
                "cannot set non-empty completedIndexes when non-indexed completion mode",
                'failedIndexes: Invalid value: "1": '
                "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
            ],
        ),
        (
            {**INDEXED, "spec.backoffLimitPerIndex": 1},
            {},
            {"completedIndexes": "0-1", "failedIndexes": "1,2"},
            ['failedIndexes: Invalid value: "1,2": failedIndexes and completedIndexes overlap at index: 1'],
        ),
        (
            {},
            {"failed": 2, "succeeded": 2},
            {"failed": 1, "succeeded": 1},
            [
                "failed: Invalid value: 1: cannot decrease the failed counter",
                "succeeded: Invalid value: 1: cannot decrease the succeeded counter",
            ],
        ),
        ({**INDEXED, "spec.parallelism": 3}, {"succeeded": 2}, {"succeeded": 1}, []),
        (
            {},
            {"startTime": AT},
            {"startTime": LATER},
            [f'startTime: Invalid value: "{LATER}": field is immutable for unsuspended job once set'],
        ),
        (
            {},
            {"startTime": AT, "conditions": conditions("Suspended")},
            {"startTime": LATER, "conditions": [{"type": "Suspended", "status": "False"}]},
            [],
        ),
        (
            {},
            DONE,
            {"startTime": AT},
            [
                "conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ],
        ),
        (
            {},
            {},
            {"startTime": AT, "conditions": conditions("SuccessCriteriaMet", "Failed")},
            [
                "conditions: Invalid value: "
                "cannot set Failed=True condition without the FailureTarget=true condition",
                "conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
            ],
        ),
        # what is broken already, and stays as it is, holds nothing up
        ({}, {"ready": 3, "completedIndexes": "x"}, {"ready": 3, "completedIndexes": "x", "failed": 1}, []),
    ],
)
def test_how_a_status_goes_on(
    status_refusals: Check, spec: Changes, before: Changes, after: Changes, expected: list[str]
) -> None:
    found = status_refusals("jobs.batch", JOB, {**spec, "status": before}, {"status": after})
    assert [each.removeprefix("status.") for each in found] == expected
