from typing import Any

import pytest

from nanokube.kubelet.status.manager import difference


def condition(type_: str, status: str, **more: str) -> dict[str, Any]:
    return {"type": type_, "status": status, **more}


def test_equal_statuses_differ_in_nothing() -> None:
    status = {"phase": "Running", "conditions": [condition("Ready", "True")]}
    assert difference(status, status) == {}


def test_only_changed_conditions_are_sent_and_vanished_reasons_named() -> None:
    old = {"conditions": [condition("Ready", "False", reason="X"), condition("Foreign", "True")]}
    new = {"conditions": [condition("Ready", "True")]}
    assert difference(old, new) == {"conditions": [{"type": "Ready", "status": "True", "reason": None}]}


def test_what_is_gone_is_removed() -> None:
    assert difference({"reason": "Evicted", "phase": "Failed"}, {"phase": "Failed"}) == {"reason": None}


@pytest.mark.parametrize("key", ["podIPs", "hostIPs"])
def test_new_addresses_replace_old_ones(key: str) -> None:
    change = difference({key: [{"ip": "a"}]}, {key: [{"ip": "b"}]})
    assert change[key] == [{"ip": "b"}, {"$patch": "replace"}]
