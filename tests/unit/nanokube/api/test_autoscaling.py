"""autoscaling/v1 as a view of v2, with the annotations that a real API server writes and reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import autoscaling

METRICS, CURRENT, BEHAVIOR = autoscaling.METRICS, autoscaling.CURRENT, autoscaling.BEHAVIOR


def hidden(metric: dict[str, Any], part: str = "spec", key: str = "metrics") -> Any:
    shown = autoscaling.to_v1({"spec": {}, part: {key: [metric]}})
    return shown["metadata"]["annotations"][METRICS if part == "spec" else CURRENT]


def as_v1(obj: dict[str, Any], **annotations: str) -> dict[str, Any]:
    named = {getattr(autoscaling, key): value for key, value in annotations.items()}
    return autoscaling.to_v2({"spec": {}, **obj, "metadata": {"annotations": named}})


SPECS = [
    (
        {"type": "Pods", "pods": {"metric": {"name": "p"},
         "target": {"type": "AverageValue", "averageValue": "1"}}},
        '{"type":"Pods","pods":{"metricName":"p","targetAverageValue":"1"}}',
    ),
    (
        {"type": "Object", "object": {"metric": {"name": "o", "selector": {"matchLabels": {"a": "b"}}},
         "describedObject": {"kind": "K", "name": "n", "apiVersion": "v1"},
         "target": {"type": "Value", "value": "2"}}},
        '{"type":"Object","object":{"target":{"kind":"K","name":"n","apiVersion":"v1"},"metricName":"o",'
        '"targetValue":"2","selector":{"matchLabels":{"a":"b"}}}}',
    ),
    (
        {"type": "Object", "object": {"metric": {"name": "o"}, "describedObject": {"kind": "K", "name": "n"},
         "target": {"type": "AverageValue", "averageValue": "3"}}},
        '{"type":"Object","object":{"target":{"kind":"K","name":"n"},"metricName":"o",'
        '"targetValue":"0","averageValue":"3"}}',
    ),
    (
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
         "target": {"type": "Utilization", "averageUtilization": 50}}},
        '{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":50,"container":"c"}}',
    ),
    (
        {"type": "External", "external": {"metric": {"name": "e", "selector": {}},
         "target": {"type": "AverageValue", "averageValue": "5"}}},
        '{"type":"External","external":{"metricName":"e","metricSelector":{},"targetAverageValue":"5"}}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "text"), SPECS)
def test_metrics_are_hidden_flat_and_found_again(metric: dict[str, Any], text: str) -> None:
    assert hidden(metric) == f"[{text}]"
    assert as_v1({}, METRICS=f"[{text}]")["spec"]["metrics"] == [metric]


def test_a_cpu_target_comes_after_what_is_hidden() -> None:
    metric, text = SPECS[0]
    found = as_v1({"spec": {"targetCPUUtilizationPercentage": 60}}, METRICS=f"[{text}]")
    target = {"type": "Utilization", "averageUtilization": 60}
    assert found["spec"]["metrics"] == [
        metric,
        {"type": "Resource", "resource": {"name": "cpu", "target": target}},
    ]
    shown = autoscaling.to_v1(found)
    assert shown["spec"] == {"targetCPUUtilizationPercentage": 60}
    assert orjson.loads(shown["metadata"]["annotations"][METRICS]) == [orjson.loads(text)]


def test_current_metrics_are_hidden_whole_and_count_more_than_the_number() -> None:
    metric = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 3}}}
    text = hidden(metric, "status", "currentMetrics")
    inside = '"name":"cpu","currentAverageUtilization":3,"currentAverageValue":"0"'
    assert text == f'[{{"type":"Resource","resource":{{{inside}}}}}]'
    found = as_v1({"status": {"currentCPUUtilizationPercentage": 9}}, CURRENT=text)
    current = {"averageUtilization": 3, "averageValue": "0"}
    assert found["status"]["currentMetrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "current": current}}
    ]
    alone = as_v1({"status": {"currentCPUUtilizationPercentage": 9}})
    assert alone["status"]["currentMetrics"][0]["resource"]["current"] == {"averageUtilization": 9}


def test_behavior_is_hidden_under_the_names_of_go() -> None:
    policy = {"type": "Pods", "value": 1, "periodSeconds": 10}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 10, "policies": [policy]}}
    shown = autoscaling.to_v1({"spec": {"behavior": behavior}})
    text = shown["metadata"]["annotations"][BEHAVIOR]
    assert text == (
        '{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":10,"SelectPolicy":null,'
        '"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":10}],"Tolerance":null}}'
    )
    assert as_v1({}, BEHAVIOR=text)["spec"]["behavior"] == behavior


@pytest.mark.parametrize("text", ["x", "1", "[1]", '{"a":1}', '[{"type":"Pods","pods":1}]', '[{"type":[]}]'])
def test_what_cannot_be_read_is_as_if_it_were_not_there(text: str) -> None:
    found = as_v1({}, METRICS=text, CURRENT=text, BEHAVIOR=text)
    assert (found["spec"].get("metrics"), found.get("status")) == (None, None)
