"""Rules of /stats/summary: the node's usage is the machine's, not the sum of its Pods."""

from __future__ import annotations

from nanokube.kubelet import stats
from nanokube.kubelet.node import facts
from tests.unit.nanokube.kubelet.test_families import FACTS

_STAT = "cpu  100 20 30 5000 400 5 6 7 90 0\ncpu0 1 1 1 1\n"


def test_idle_and_waiting_processors_are_not_busy_and_guests_count_once() -> None:
    assert facts.busy_ns(_STAT, 100) == 1_680_000_000


def test_the_usage_of_a_node_is_that_of_the_machine() -> None:
    used = facts.Usage(cpu_ns=7, memory_bytes=300, memory_available_bytes=200)
    node = stats.summary("n", FACTS, used, [], 0.0, 1.0, cpu_nanocores=5)["node"]
    assert {**node["cpu"], "time": ""} == {"time": "", "usageNanoCores": 5, "usageCoreNanoSeconds": 7}
    assert (node["memory"]["workingSetBytes"], node["memory"]["availableBytes"]) == (300, 200)


def test_a_node_asked_for_the_first_time_has_no_rate() -> None:
    used = facts.Usage(1, 1, 1)
    assert "usageNanoCores" not in stats.summary("n", FACTS, used, [], 0.0, 1.0)["node"]["cpu"]


def test_this_machine_is_busy() -> None:
    used = facts.usage()
    assert used.cpu_ns > 0
    assert used.memory_available_bytes > 0
