"""Fields of workloads that a server with the default gates drops."""

from typing import Any

from nanokube.api import objects
from nanokube.api.strategy import workloads


def stateful(**rolling: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


def rolling(obj: dict[str, Any]) -> Any:
    return objects.spec(obj)["updateStrategy"]["rollingUpdate"]


def test_max_unavailable_of_a_stateful_set_is_dropped_where_it_is_new() -> None:
    made, changed, kept = (stateful(partition=2, maxUnavailable=1) for _ in range(3))
    workloads.STATEFUL_SET.on_create(made)
    workloads.STATEFUL_SET.on_update(changed, stateful(partition=1))
    workloads.STATEFUL_SET.on_update(kept, stateful(maxUnavailable="10%"))
    assert [rolling(made), rolling(changed)] == [{"partition": 2}] * 2
    assert rolling(kept) == {"partition": 2, "maxUnavailable": 1}


def test_a_stateful_set_without_a_strategy_is_left_alone() -> None:
    for spec in ({}, {"updateStrategy": None}, {"updateStrategy": {"type": "OnDelete"}}):
        made = {"metadata": {}, "spec": dict(spec)}
        workloads.STATEFUL_SET.on_create(made)
        assert made["spec"] == spec
