"""Scenario files: steps in YAML that a cluster of several nodes goes through, and what must hold after each.

    name: a worker dies
    nodes: 3                      # what the lab must have at least; servers: likewise
    steps:
      - apply: objects.yaml       # beside the file; or a mapping: the object itself
      - wait: {object: node/w1, for: condition=Ready, within_s: 30}
      - kill: [w1]
      - expect: {command: kubectl get pods -o name, contains: pod/, within_s: 30}
      - start: [w1]

Steps speak of nodes by name and need a `Machines` to act on: a lab here; virtual machines may be another.
Reading is pure, `run` acts.
"""

import dataclasses
import json
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from nanokube.lab import cluster, control, faults, place

WITHIN_S: Final = 30.0
LOOK_S: Final = 0.2
ANY: Final = ("any-server", "any-worker")


class Machines(Protocol):
    """What a scenario acts on."""

    def names(self, role: str = "") -> Sequence[str]:
        """Return the nodes' names, or those of one role."""
        ...

    def kubectl(self, arguments: Sequence[str], stdin: str = "") -> tuple[int, str]:
        """Run kubectl; return exit code and output."""
        ...

    def exec(self, node: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a node; return exit code and output."""
        ...

    def power(self, node: str, *, on: bool) -> None:
        """Switch a node on, and have it resume, or off."""
        ...

    def partition(self, ones: Sequence[str], others: Sequence[str]) -> None:
        """Cut nodes off from others; no others: from all."""
        ...

    def heal(self, nodes: Sequence[str]) -> None:
        """End what is wrong between nodes; none named: between all."""
        ...

    def give(self, node: str, **values: float) -> None:
        """Set loss_percent, delay_ms or clock_s of a node."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """steps: (verb, argument). base: where files are that it names."""

    name: str
    steps: tuple[tuple[str, Any], ...]
    nodes: int = 1
    servers: int = 1
    base: Path = Path()


def read(file: Path) -> Scenario:
    """Read a scenario file. Raises LabError naming the step that cannot be understood."""
    try:
        return parse(yaml.safe_load(file.read_text()), file.parent)
    except (OSError, ValueError, yaml.YAMLError) as err:
        raise place.LabError(f"cannot read {file}: {' '.join(str(err).split())}") from err


def parse(document: Any, base: Path = Path()) -> Scenario:
    """Check a scenario's shape. Raises LabError. Pure."""
    if not isinstance(document, Mapping) or not isinstance(document.get("steps"), list):
        raise place.LabError("a scenario is a mapping with a list of steps")
    if strange := set(document) - {"name", "nodes", "servers", "steps"}:
        raise place.LabError(f"a scenario has no {', '.join(sorted(strange))}")
    steps = []
    for number, step in enumerate(document["steps"], start=1):
        if not isinstance(step, Mapping) or len(step) != 1:
            raise place.LabError(f"step {number} is not one verb with its argument: {step!r}")
        ((verb, argument),) = step.items()
        if verb not in VERBS:
            raise place.LabError(f"step {number}: there is no verb {verb!r}", f"verbs: {', '.join(VERBS)}")
        steps.append((verb, argument))
    sizes = {name: int(document.get(name, 1)) for name in ("nodes", "servers")}
    return Scenario(str(document.get("name", "")), tuple(steps), base=base, **sizes)


class Run:
    """One run of a scenario. draw: chooses for "any-server" and "any-worker"; a name drawn once stays."""

    def __init__(self, machines: Machines, scenario: Scenario, draw: random.Random) -> None:
        self._machines = machines
        self._scenario = scenario
        self._draw = draw
        self._drawn: dict[str, str] = {}

    def steps(self) -> Iterator[str]:
        """Do step after step; tell of each when it is done. Raises LabError where one does not hold."""
        wanted = {"": self._scenario.nodes, place.SERVER: self._scenario.servers}
        for role, number in wanted.items():
            if len(self._machines.names(role)) < number:
                raise place.LabError(f"the scenario needs {number} {role or 'node'}s")
        for number, (verb, argument) in enumerate(self._scenario.steps, start=1):
            began = time.monotonic()
            try:
                VERBS[verb](self, argument)
            except place.LabError as err:
                raise place.LabError(f"step {number} ({verb}): {err}", err.hint) from err
            except (KeyError, TypeError, ValueError) as err:
                raise place.LabError(f"step {number} ({verb}): cannot use {argument!r}: {err}") from err
            yield f"{time.monotonic() - began:6.1f} s  {verb} {json.dumps(argument)}"

    def node(self, name: str) -> str:
        """Return the node that a step means."""
        if name not in ANY:
            return name
        if name not in self._drawn:
            role = place.SERVER if name == "any-server" else place.WORKER
            self._drawn[name] = self._draw.choice(sorted(self._machines.names(role)))
        return self._drawn[name]

    def nodes(self, argument: Any) -> list[str]:
        given = [argument] if isinstance(argument, str) else list(argument or ())
        return [self.node(each) for each in given]

    def apply(self, argument: Any) -> None:
        text = (
            json.dumps(argument)
            if isinstance(argument, Mapping)
            else (self._scenario.base / argument).read_text()
        )
        self._kubectl(["apply", "-f", "-"], text)

    def kubectl(self, argument: str) -> None:
        self._kubectl(shlex.split(self._named(argument)))

    def _kubectl(self, arguments: Sequence[str], stdin: str = "") -> str:
        code, said = self._machines.kubectl(arguments, stdin)
        if code:
            raise place.LabError(f"kubectl {shlex.join(arguments)}: {said.strip()}")
        return said

    def wait(self, argument: Mapping[str, Any]) -> None:
        within = f"--timeout={argument.get('within_s', WITHIN_S)}s"
        options = shlex.split(argument.get("options", ""))
        target = self._named(argument["object"])
        self._kubectl(["wait", f"--for={argument['for']}", target, within, *options])

    def _named(self, text: str) -> str:
        for name in ANY:
            if name in text:
                text = text.replace(name, self.node(name))
        return text

    def expect(self, argument: Mapping[str, Any]) -> None:
        """Wait until a command's output contains, or lacks, a text."""
        command = shlex.split(self._named(argument["command"]))
        deadline = time.monotonic() + float(argument.get("within_s", WITHIN_S))
        while True:
            code, said = self._output(argument, command)
            if code == int(argument.get("exit", 0)) and _holds(argument, said):
                return
            if time.monotonic() > deadline:
                raise place.LabError(f"{shlex.join(command)}: exit {code}, last said: {said.strip()[-500:]}")
            time.sleep(LOOK_S)

    def _output(self, argument: Mapping[str, Any], command: Sequence[str]) -> tuple[int, str]:
        if "node" in argument:
            return self._machines.exec(self.node(argument["node"]), command)
        if command[0] != "kubectl":
            raise place.LabError("a command other than kubectl needs a node")
        return self._machines.kubectl(command[1:])

    def exec(self, argument: Mapping[str, Any]) -> None:
        code, said = self._machines.exec(self.node(argument["node"]), shlex.split(argument["command"]))
        if code:
            raise place.LabError(f"{argument['command']}: exit {code}: {said.strip()[-500:]}")

    def kill(self, argument: Any) -> None:
        for node in self.nodes(argument):
            self._machines.power(node, on=False)

    def start(self, argument: Any) -> None:
        for node in self.nodes(argument):
            self._machines.power(node, on=True)

    def partition(self, argument: Any) -> None:
        if isinstance(argument, Mapping):
            self._machines.partition(self.nodes(argument["ones"]), self.nodes(argument.get("others")))
        else:
            self._machines.partition(self.nodes(argument), [])

    def heal(self, argument: Any) -> None:
        self._machines.heal(self.nodes(argument))

    def give(self, argument: Mapping[str, Any]) -> None:
        values = {name: float(value) for name, value in argument.items() if name != "node"}
        if strange := set(values) - {"loss_percent", "delay_ms", "clock_s"}:
            raise place.LabError(f"no fault is called {', '.join(sorted(strange))}")
        self._machines.give(self.node(argument["node"]), **values)

    def sleep(self, argument: float) -> None:
        time.sleep(float(argument))


def _holds(argument: Mapping[str, Any], said: str) -> bool:
    if "contains" in argument and argument["contains"] not in said:
        return False
    return "lacks" not in argument or argument["lacks"] not in said


VERBS: Final[Mapping[str, Callable[[Run, Any], None]]] = {
    "apply": Run.apply,
    "kubectl": Run.kubectl,
    "wait": Run.wait,
    "expect": Run.expect,
    "exec": Run.exec,
    "kill": Run.kill,
    "start": Run.start,
    "partition": Run.partition,
    "heal": Run.heal,
    "give": Run.give,
    "sleep": Run.sleep,
}


class LabMachines:
    """A lab as what a scenario acts on."""

    def __init__(self, lab: place.Lab, kubectl: Path) -> None:
        self._lab = lab
        self._kubectl = kubectl

    def names(self, role: str = "") -> Sequence[str]:
        return [node.name for node in self._lab.nodes if role in ("", node.role)]

    def kubectl(self, arguments: Sequence[str], stdin: str = "") -> tuple[int, str]:
        server = control.server_of(self._lab).name
        done = control.run(self._lab, server, [str(self._kubectl), *arguments], stdin=stdin, check=False)
        return done.returncode, done.stdout + done.stderr

    def exec(self, node: str, command: Sequence[str]) -> tuple[int, str]:
        if command[0] == "nanokube":  # this one, wherever it is
            command = [sys.executable, "-m", "nanokube.cli", *command[1:]]
        done = control.run(self._lab, node, command, check=False)
        return done.returncode, done.stdout + done.stderr

    def power(self, node: str, *, on: bool) -> None:
        if on:
            cluster.resume(self._lab, node)
        else:
            control.power(self._lab, node, on=False)

    def partition(self, ones: Sequence[str], others: Sequence[str]) -> None:
        rest = others or [each.name for each in self._lab.nodes if each.name not in ones]
        faults.inject(self._lab, faults.cut(self._lab, place.load_faults(self._lab), ones, rest))

    def heal(self, nodes: Sequence[str]) -> None:
        faults.inject(self._lab, faults.healed(self._lab, place.load_faults(self._lab), nodes))

    def give(self, node: str, **values: float) -> None:
        faults.inject(self._lab, faults.given(self._lab, place.load_faults(self._lab), node, **values))


def run(lab: place.Lab, kubectl: Path, scenario: Scenario, *, seed: int = 0) -> Iterator[str]:
    """Run a scenario on a lab; yields a line a step. Raises LabError at the first that does not hold."""
    return Run(LabMachines(lab, kubectl), scenario, random.Random(seed)).steps()
