"""What is injected, decided and rendered."""

from pathlib import Path

import pytest

from nanokube.lab import faults, place

LAB = place.plan("x", Path("/x"), 1, 2)


def test_a_partition_has_two_sides_unless_it_is_one_way() -> None:
    both = faults.cut(LAB, {}, ["s1"], ["w1", "w2"])
    assert both == {"s1": {"blocked": ["w1", "w2"]}, "w1": {"blocked": ["s1"]}, "w2": {"blocked": ["s1"]}}
    assert faults.cut(LAB, {}, ["s1"], ["w1"], one_way=True) == {"w1": {"blocked": ["s1"]}}
    with pytest.raises(place.LabError, match="both sides"):
        faults.cut(LAB, {}, ["s1"], ["s1", "w1"])
    with pytest.raises(place.LabError, match="no node"):
        faults.cut(LAB, {}, ["s9"], ["w1"])
    with pytest.raises(place.LabError, match="other side"):
        faults.cut(LAB, {}, ["s1", "w1", "w2"], [])


def test_healing_leaves_clocks_and_other_partitions() -> None:
    injected = faults.cut(LAB, {}, ["s1"], ["w1", "w2"])
    injected = faults.given(LAB, injected, "w1", loss_percent=5, clock_s=60)
    assert faults.healed(LAB, injected) == {"w1": {"clock_s": 60}}
    assert faults.healed(LAB, injected, ["w1"]) == {
        "s1": {"blocked": ["w2"]},
        "w1": {"clock_s": 60},
        "w2": {"blocked": ["s1"]},
    }


def test_only_nodes_that_are_there_are_healed() -> None:
    with pytest.raises(place.LabError, match="no node w9"):
        faults.healed(LAB, {}, ["w9"])


def test_a_value_of_nothing_ends_a_fault() -> None:
    assert faults.given(LAB, {"w1": {"loss_percent": 5}}, "w1", loss_percent=0) == {}


def test_rules_drop_by_the_senders_link_address() -> None:
    text = faults.ruleset(LAB, {"blocked": ["s1"], "loss_percent": 2.5})
    assert "ether saddr 02:6e:6b:00:00:01 drop" in text
    assert "numgen random mod 10000 < 250 drop" in text
    assert "numgen" not in faults.ruleset(LAB, {"loss_percent": 100}), "nft takes no 10000 of 10000"
    assert text.startswith("table netdev nanokube_lab\ndelete table netdev nanokube_lab\n")
    assert "chain" not in faults.ruleset(LAB, {"delay_ms": 5})
