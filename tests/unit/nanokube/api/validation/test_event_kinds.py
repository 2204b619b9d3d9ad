"""Events of both groups, endpoint hints: what is refused, in upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nanokube.api import resources
from nanokube.api.validation import whole

Check = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
CORE, NEW = resources.get("events"), resources.get("events.events.k8s.io")
ABOUT = {"namespace": "d", "name": "p", "kind": "Pod"}
OLD_STYLE = {"metadata": {"name": "e", "namespace": "d"}, "involvedObject": ABOUT}
NEW_STYLE = {
    **OLD_STYLE,
    "eventTime": "2026-01-02T03:04:05.000006Z",
    "reportingComponent": "a.b/c",
    "reportingInstance": "i",
    "action": "a",
    "reason": "r",
    "type": "Normal",
}
MISMATCH = "does not match event.namespace"


@pytest.mark.parametrize(
    ("obj", "is_new", "expected"),
    [
        (OLD_STYLE, False, []),
        (NEW_STYLE, True, []),
        ({**OLD_STYLE, "involvedObject": {}}, False,
         [f'involvedObject.namespace: Invalid value: "": {MISMATCH}']),
        ({**NEW_STYLE, "reportingComponent": ""}, False,
         ["reportingComponent: Required value",
          'reportingComponent: Invalid value: "": name part must be non-empty']),
        ({**NEW_STYLE, "reportingInstance": "x" * 129, "action": ""}, True,
         ['reportingInstance: Invalid value: "": can have at most 128 characters', "action: Required value"]),
        ({**NEW_STYLE, "message": "x" * 1025}, True,
         ['message: Invalid value: "": can have at most 1024 characters']),
        ({**NEW_STYLE, "type": "x", "count": 1, "source": {"component": "c"}, "series": {"count": 1}}, True,
         ['series.count: Invalid value: "": should be at least 2',
          "series.lastObservedTime: Required value",
          'type: Invalid value: "": has invalid value: x',
          'count: Invalid value: "": needs to be unset',
          'source: Invalid value: "": needs to be unset']),
        (OLD_STYLE, True,
         ["eventTime: Required value", 'type: Invalid value: "": has invalid value: ']),
    ],
)  # fmt: skip
def test_events(obj: dict[str, Any], is_new: bool, expected: list[str]) -> None:
    found = whole.validate_create(CORE, obj, requested=NEW if is_new else CORE)
    texts = [str(each) for each in found]
    assert [text[: len(e)] for text, e in zip(texts, expected, strict=False)] == expected
    assert bool(texts) == bool(expected)


def test_only_the_series_of_a_new_event_changes() -> None:
    series = {**NEW_STYLE, "series": {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}}
    assert whole.validate_update(CORE, series, NEW_STYLE, requested=NEW) == []
    changed = whole.validate_update(CORE, {**NEW_STYLE, "reason": "s"}, NEW_STYLE, requested=NEW)
    assert [str(each) for each in changed] == ['reason: Invalid value: "s": field is immutable']
    assert whole.validate_update(CORE, {**NEW_STYLE, "reason": "s"}, NEW_STYLE, requested=CORE) == []


def test_endpoint_slices(refusals: Check) -> None:
    hints = {"forZones": [{"name": "z"}, {"name": "z"}], "forNodes": [{"name": "N"}]}
    endpoint = {"addresses": ["10.0.0.1"], "nodeName": "N", "hostname": "H", "hints": hints}
    base = {"addressType": "IPv4", "endpoints": [endpoint], "ports": [{"name": "a", "appProtocol": "a b"}]}
    found = refusals("endpointslices.discovery.k8s.io", base, {})
    assert [text.partition(": ")[0] for text in found] == [
        "endpoints[0].nodeName",
        "endpoints[0].hostname",
        "endpoints[0].hints.forZones[1].name",
        "endpoints[0].hints.forNodes[0].name",
        "ports[0].appProtocol",
    ]
