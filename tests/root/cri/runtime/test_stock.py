"""Filesystems made ahead are like those that a first process makes."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from cri.cgroup import hierarchy
from tests.root.cri.runtime.conftest import Node, is_ended, wait_for

pytestmark = pytest.mark.root

_ALL = 4 * (2 if hierarchy.detect().is_pure_v2 else 3)
_SHOW = "ls -ln /dev; ls /dev/pts /sys/fs/cgroup; cat /proc/self/mountinfo"


def _detached(node: Node) -> int:
    """How many detached mounts the supervisor holds: their descriptors are shown as roots.

    It goes on making and closing descriptors: one that ends between list and look is none.
    """
    links = f"/proc/{node.pid('nk-super')}/fd"
    found = 0
    for fd in os.listdir(links):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"{links}/{fd}") == "/"
    return found


def _seen(node: Node) -> list[tuple[str, ...]]:
    """What a container sees of them: neither times nor the numbers of mounts, devices and processes."""
    code, lines = node.run("sh", "-c", _SHOW)
    assert code == 0
    found = []
    for words in map(str.split, lines):
        if len(words) > 3 and words[3] == "/":
            found.append(("mount", *words[4:]))
        elif len(words) > 5:
            found.append((*words[:4], words[-1]))
        else:
            found.append(tuple(words))
    return [words for words in found if "overlay" not in words]


def test_a_set_made_ahead_is_like_one_that_is_not(lone_node: Node) -> None:
    node = lone_node
    node.run("true")
    wait_for(lambda: _detached(node) == _ALL)
    ahead = _seen(node)
    assert any(words[-1] == "pts" for words in ahead)
    wait_for(lambda: _detached(node) == _ALL)
    old = node.pid("nk-super")
    os.kill(old, signal.SIGKILL)  # the next one has none yet
    wait_for(lambda: is_ended(old))
    node.client.list()  # waits for it
    assert sorted(_seen(node)) == sorted(ahead)
