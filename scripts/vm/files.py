"""Scenario files of `nanokube lab run` on virtual machines: the same nodes by other names, and slower.

Files call nodes s1, s2, …, w1, w2, …; the machines are called as in the Vagrantfile. Names are exchanged in
whatever is said to the cluster, and back in what it answers.
Faults are decided by nanokube.lab.faults and done by nanokube.lab.inside, which every machine has.
"""

import dataclasses
import json
import random
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanokube.lab import faults, place, scenario
from scripts.vm.cluster import Lab, at_once, say
from scripts.vm.machine import LabError, Machine

LINK = "eth1"  # that the machines share; a lab's nodes have one alone
# What a namespace does in a second takes an emulated machine several.
SLOWER = {"kvm": 2.0, "tcg": 10.0}
_LETTERS = {"server": "s", "worker": "w"}
_SHORT = re.compile(r"\b([sw])([1-9])\b")
_LONG = re.compile(r"\b(server|worker)-([1-9])\b")
_TIMEOUT = re.compile(r"--timeout=(\d+)s")
_INJECT = (
    "import json, sys\n"
    "from nanokube.lab import inside, place\n"
    f"place.LINK = {LINK!r}\n"
    "sys.exit(inside.main(json.load(sys.stdin)) or 0)\n"
)


def long(text: str) -> str:
    """Put the machines' names in place of a file's. Pure.

    >>> long("kubectl get node/w1 --field-selector spec.nodeName=s2")
    'kubectl get node/worker-1 --field-selector spec.nodeName=server-2'
    """
    names = {short: name for name, short in _LETTERS.items()}
    return _SHORT.sub(lambda found: f"{names[found[1]]}-{found[2]}", text)


def short(text: str) -> str:
    """Put a file's names in place of the machines'. Pure.

    >>> short("node/worker-1 condition met")
    'node/w1 condition met'
    """
    return _LONG.sub(lambda found: f"{_LETTERS[found[1]]}{found[2]}", text)


def slower(found: scenario.Scenario, factor: float) -> scenario.Scenario:
    """Return the scenario with every limit of time so much later. Pure."""

    def stretch(verb: str, argument: Any) -> Any:
        if isinstance(argument, str):
            return _TIMEOUT.sub(lambda limit: f"--timeout={int(limit[1]) * factor:.0f}s", argument)
        if verb in ("wait", "expect") and isinstance(argument, Mapping):
            within_s = float(argument.get("within_s", scenario.WITHIN_S))
            return {**argument, "within_s": round(within_s * factor)}
        return argument

    steps = tuple((verb, stretch(verb, argument)) for verb, argument in found.steps)
    return dataclasses.replace(found, steps=steps)


class Machines:
    """A lab of virtual machines as what a scenario acts on."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._machines = {short(each.name): each for each in lab.machines}
        nodes = (
            place.Node(name, place.WORKER if each.role == "worker" else place.SERVER, each.address, each.mac)
            for name, each in self._machines.items()
        )
        self._place = place.Lab("vm", lab.machines[0].place, nodes=tuple(nodes))
        self._faults: faults.Faults = {}

    def names(self, role: str = "") -> Sequence[str]:
        return [node.name for node in self._place.nodes if role in ("", node.role)]

    def kubectl(self, arguments: Sequence[str], stdin: str = "") -> tuple[int, str]:
        command = f"KUBECONFIG=/etc/nanokube/admin.conf /opt/kubectl {shlex.join(arguments)}"
        asked = next(each for each in self._lab.servers if each.process is not None)
        return self._run(asked, f"{command} <<'END-OF-INPUT'\n{stdin}\nEND-OF-INPUT")

    def exec(self, node: str, command: Sequence[str]) -> tuple[int, str]:
        return self._run(self._machine(node), shlex.join(command))

    def power(self, node: str, *, on: bool) -> None:
        each = self._machine(node)
        if not on:
            each.kill()
            return
        each.start()
        try:
            each.wait()
        except LabError as err:
            raise place.LabError(str(err)) from err
        self._apply(node, {})

    def partition(self, ones: Sequence[str], others: Sequence[str]) -> None:
        rest = others or [name for name in self._machines if name not in ones]
        self._inject(faults.cut(self._place, self._faults, ones, rest))

    def heal(self, nodes: Sequence[str]) -> None:
        self._inject(faults.healed(self._place, self._faults, nodes))

    def give(self, node: str, **values: float) -> None:
        if "clock_s" in values:
            raise place.LabError("a machine's clock is not set wrong here", "`nanokube lab` does that")
        self._inject(faults.given(self._place, self._faults, node, **values))

    def _inject(self, wanted: faults.Faults) -> None:
        before, self._faults = self._faults, wanted
        changed = [
            name
            for name, each in self._machines.items()
            if each.process is not None and before.get(name) != wanted.get(name)
        ]
        at_once(
            [self._machines[name] for name in changed], lambda each: self._apply(short(each.name), before)
        )

    def _apply(self, node: str, before: faults.Faults) -> None:
        of, had = self._faults.get(node, {}), before.get(node, {})
        delay_ms = of.get("delay_ms", 0)
        rules = faults.ruleset(self._place, of).replace(f'"{place.LINK}"', f'"{LINK}"')
        # A kernel without netem is asked for it only if it must be.
        delay_ms = None if delay_ms == had.get("delay_ms", 0) else delay_ms
        order = json.dumps({"nft": rules, "delay_ms": delay_ms, "clock_s": 0})
        inject = f".venv/bin/python -c {shlex.quote(_INJECT)} <<'END-OF-INPUT'\n{order}\nEND-OF-INPUT"
        code, said = self._run(self._machine(node), inject)
        if code:
            raise place.LabError(f"node {node}: {said.strip()}")

    def _machine(self, node: str) -> Machine:
        if node not in self._machines:
            raise place.LabError(f"there is no node {node}", f"nodes: {', '.join(self._machines)}")
        return self._machines[node]

    def _run(self, each: Machine, command: str) -> tuple[int, str]:
        try:
            code, said = each.attempt(long(command))
        except LabError as err:
            return 1, str(err)
        return code, short(said)


def scenario_of(file: Path) -> Callable[[Lab], None]:
    """Return a scenario file as a scenario of the virtual machines."""

    def run(lab: Lab) -> None:
        factor = SLOWER.get(lab.asked.accelerated_by, 1.0)
        try:
            found = slower(scenario.read(file), factor)
            say(f"  {found.name}; its limits of time are {factor:.0f} times longer here")
            for step in scenario.Run(Machines(lab), found, random.Random(0)).steps():
                say(f"  {step}")
        except place.LabError as err:
            raise LabError(str(err)) from err

    run.__doc__ = f"The steps of {file}."
    return run
