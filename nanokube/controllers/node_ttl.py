"""Tells kubelets by an annotation how long they may keep Secrets and ConfigMaps that they read.

Our kubelets watch them and need no such hint; upstream's read it.
Source: pkg/controller/ttl/ttl_controller.go.
"""

from typing import Final, Never

from nanokube.api import objects, resources
from nanokube.client import runner
from nanokube.controllers.env import Env

NODES = resources.get("nodes")
ANNOTATION: Final = "node.alpha.kubernetes.io/ttl"
# (fewest nodes, most nodes, seconds); they overlap, so that one node more or less changes nothing twice
_STEPS: Final = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 1 << 31, 300))


def step_of(count: int, step: int) -> int:
    """Move from a step of _STEPS to the one that fits a count of nodes. Pure."""
    while count > _STEPS[step][1]:
        step += 1
    while count < _STEPS[step][0]:
        step -= 1
    return step


class NodeTtlController:
    """Looks at all nodes when their count passes a bound."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._nodes = env.informers.of(NODES)
        self._step = 0
        self.runner = runner.Runner("node-ttl", self.reconcile, workers=1)
        self.runner.watches(self._nodes)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Annotate one node; all of them when their number asks for another value."""
        nodes = self._nodes.list()
        step = step_of(len(nodes), self._step)
        if step != self._step:
            self._step = step
            for node in nodes:
                self.runner.queue.add(objects.name(node))
        found = self._nodes.get(key)
        wanted = str(_STEPS[step][2])
        if found is not None and objects.annotations(found).get(ANNOTATION) != wanted:
            body = {"metadata": {"annotations": {ANNOTATION: wanted}}}
            await self._env.client.patch(NODES, key, body)
        return None
