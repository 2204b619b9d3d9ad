"""Who may start a node."""

import os
import threading
from pathlib import Path

import pytest

from nanokube.kit import paths
from nanokube.roles import node


def test_one_starts_the_node_at_a_time(tmp_path: Path) -> None:
    place = paths.Paths(tmp_path)
    place.run.parent.mkdir()
    entered, order = threading.Event(), []

    def second() -> None:
        entered.set()
        with node.alone(place):
            order.append("second")

    with node.alone(place):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        thread.join(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert not place.run.exists(), "asking makes nothing"


def test_a_claim_is_found_and_excludes_others(tmp_path: Path) -> None:
    place = paths.Paths(tmp_path)
    assert node.running_pid(place) is None
    claim = node.hold_lock(place)
    assert node.running_pid(place) == os.getpid()
    with pytest.raises(node.NodeError, match="it runs already"):
        node.hold_lock(place)
    os.close(claim)
    assert node.running_pid(place) is None
