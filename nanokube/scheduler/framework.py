"""What a plugin is. Pure.

A plugin prepares once for a Pod, then answers for each node. prepare() may return None: it has nothing to
say about this Pod, and costs nothing; or raise Refused: no node will do. (A plugin over columns of all nodes
would answer for an array of nodes from the same prepare(); cycle.py is the only caller.)
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import TypeAlias

from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

MAX_SCORE = 100.0

Check: TypeAlias = Callable[[NodeInfo], Sequence[str]]  # why the node will not do; empty when it will
Yields: TypeAlias = Callable[[PodInfo, NodeInfo, Sequence[str]], bool]
Rate: TypeAlias = Callable[[NodeInfo], float]
Normalize: TypeAlias = Callable[[list[float]], list[float]]


class Change(enum.Flag):
    """What in the cluster changed, and so may let a Pod fit that did not."""

    NODE_ADDED = enum.auto()
    NODE_CHANGED = enum.auto()
    POD_PLACED = enum.auto()
    POD_GONE = enum.auto()
    POD_CHANGED = enum.auto()  # the waiting Pod itself
    STORAGE = enum.auto()  # a claim, a volume or a class of them
    NODE = NODE_ADDED | NODE_CHANGED
    ANY = NODE | POD_PLACED | POD_GONE | POD_CHANGED | STORAGE


class Refused(Exception):
    """No node will do for a Pod until a change in retry_on, whatever the nodes are; raised by prepare()."""

    def __init__(self, message: str, retry_on: Change) -> None:
        super().__init__(message)
        self.retry_on = retry_on


def always(pod: PodInfo, node: NodeInfo, why: Sequence[str]) -> bool:
    """Say that fewer Pods on the node could help."""
    return True


def never(pod: PodInfo, node: NodeInfo, why: Sequence[str]) -> bool:
    """Say that it does not depend on the Pods on the node."""
    return False


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Says which nodes will not do; retry_on are the changes after which asking again makes sense.

    yields: whether, after such an answer for a node, fewer Pods there could change it.
    """

    name: str
    prepare: Callable[[PodInfo, Cluster], Check | None]
    retry_on: Change
    yields: Yields


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """Says how good a node is: 0 to 100 after normalize, counted weight times."""

    name: str
    weight: int
    prepare: Callable[[PodInfo, Cluster], Rate | None]
    normalize: Normalize | None = None


def scaled(rates: list[float]) -> list[float]:
    """Stretch rates so that the highest is 100."""
    most = max(rates, default=0.0)
    return [rate * MAX_SCORE / most for rate in rates] if most > 0 else rates


def scaled_down(rates: list[float]) -> list[float]:
    """Stretch rates so that the highest is 0 and nothing is 100."""
    most = max(rates, default=0.0)
    return [MAX_SCORE - rate * MAX_SCORE / most for rate in rates] if most > 0 else [MAX_SCORE] * len(rates)
