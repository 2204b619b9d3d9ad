from typing import Any

from nanokube.api import resource_metrics

POD = {"metadata": {"name": "p", "namespace": "d", "uid": "u", "labels": {"app": "web"}}}
NODE = {"metadata": {"name": "n"}}


def stats(cpu_ns: int, memory: int) -> dict[str, Any]:
    return {"cpu": {"usageCoreNanoSeconds": cpu_ns}, "memory": {"workingSetBytes": memory}}


def summary(cpu_ns: int, memory: int) -> dict[str, Any]:
    container = {"name": "c", **stats(cpu_ns, memory)}
    ref = {"name": "p", "namespace": "d", "uid": "u"}
    return {"node": stats(cpu_ns, memory), "pods": [{"podRef": ref, "containers": [container]}]}


def test_use_is_what_was_added_over_the_window() -> None:
    old = resource_metrics.read(summary(1_000_000_000, 0), 100.0)
    new = resource_metrics.read(summary(1_500_000_000, 3 << 20), 110.0)
    usage = {"cpu": "50000000n", "memory": "3072Ki"}
    found = resource_metrics.pod(POD, new, old)
    assert found is not None
    assert found["containers"] == [{"name": "c", "usage": usage}]
    assert found["metadata"]["labels"] == {"app": "web"}
    assert (found["timestamp"], found["window"]) == ("1970-01-01T00:01:50Z", "10.000s")
    assert resource_metrics.node(NODE, new, old)["usage"] == usage


def test_a_container_that_was_restarted_has_no_rate_yet() -> None:
    old = resource_metrics.read(summary(1_000, 0), 100.0)
    new = resource_metrics.read(summary(10, 0), 110.0)
    assert resource_metrics.pod(POD, new, old) is None
    assert resource_metrics.pod(POD, new, resource_metrics.read({}, 100.0)) is None
    assert resource_metrics.node(NODE, new, old)["usage"] == {"cpu": "0", "memory": "0Ki"}
