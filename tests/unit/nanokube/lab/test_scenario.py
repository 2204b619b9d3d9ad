"""Scenario files: what is read, refused, drawn, and done in order."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanokube.lab import place, scenario


class Recorded:
    """Machines that note what they are told; kubectl says what it was given to say."""

    def __init__(self, *said: str) -> None:
        self.told: list[object] = []
        self._said = list(said)

    def names(self, role: str = "") -> Sequence[str]:
        return [name for name in ("s1", "s2", "w1") if not role or name[0] == role[0]]

    def kubectl(self, arguments: Sequence[str], stdin: str = "") -> tuple[int, str]:
        self.told.append(("kubectl", *arguments))
        return 0, self._said.pop(0) if self._said else ""

    def exec(self, node: str, command: Sequence[str]) -> tuple[int, str]:
        self.told.append((node, *command))
        return 1, "it failed"

    def power(self, node: str, *, on: bool) -> None:
        self.told.append((node, on))

    def partition(self, ones: Sequence[str], others: Sequence[str]) -> None:
        self.told.append(("cut", *ones, "|", *others))

    def heal(self, nodes: Sequence[str]) -> None:
        self.told.append(("heal", *nodes))

    def give(self, node: str, **values: float) -> None:
        self.told.append((node, values))


def run(machines: Recorded, *steps: object, **sizes: int) -> list[str]:
    made = scenario.parse({"steps": list(steps), **sizes})
    return list(scenario.Run(machines, made, random.Random(1)).steps())


def test_steps_are_done_in_order() -> None:
    machines = Recorded()
    told = run(
        machines,
        {"kill": "w1"},
        {"start": ["w1", "s1"]},
        {"partition": "s1"},
        {"partition": {"ones": ["s1"], "others": ["w1"]}},
        {"give": {"node": "w1", "loss_percent": 5}},
        {"heal": None},
        {"kubectl": "drain w1"},
    )
    assert machines.told == [
        *(("w1", False), ("w1", True), ("s1", True), ("cut", "s1", "|"), ("cut", "s1", "|", "w1")),
        *(("w1", {"loss_percent": 5.0}), ("heal",), ("kubectl", "drain", "w1")),
    ]
    assert len(told) == 7


def test_a_node_that_chance_chose_stays_chosen() -> None:
    machines = Recorded()
    run(machines, {"kill": "any-server"}, {"start": "any-server"}, {"kubectl": "get node any-server"})
    killed = machines.told[0]
    name = "s1" if killed == ("s1", False) else "s2"
    assert machines.told == [(name, False), (name, True), ("kubectl", "get", "node", name)]


def test_what_is_expected_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "LOOK_S", 0.0)
    run(Recorded("no", "no", "yes"), {"expect": {"command": "kubectl get x", "contains": "yes"}})
    run(Recorded("old", "new"), {"expect": {"command": "kubectl get x", "lacks": "old"}})
    with pytest.raises(place.LabError, match=r"step 1 \(expect\): .* last said: no"):
        run(Recorded("no"), {"expect": {"command": "kubectl get x", "contains": "yes", "within_s": 0}})


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"explode": "w1"}], "there is no verb 'explode'"),
        ([{"kill": "w1", "start": "w1"}], "not one verb"),
        ([{"exec": {"node": "w1", "command": "false"}}], "it failed"),
        ([{"exec": {"node": "w1"}}], "cannot use"),
        ([{"give": {"node": "w1", "rain": 1}}], "no fault is called rain"),
        ([{"expect": {"command": "ls"}}], "needs a node"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_step(steps: list[object], said: str) -> None:
    with pytest.raises(place.LabError, match=said):
        run(Recorded(), *steps)


def test_too_few_nodes_are_refused() -> None:
    with pytest.raises(place.LabError, match="needs 9 nodes"):
        run(Recorded(), nodes=9)


def test_the_scenarios_of_the_tests_can_be_read() -> None:
    folder = Path(__file__).parents[3] / "root/lab/scenarios"
    assert scenario.read(folder / "worker-dies.yaml").nodes == 3


@pytest.mark.parametrize("content", [b"\xbd\x00", b"foo: [", b"nodes: many\nsteps: []\n"])
def test_a_file_that_is_no_scenario_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(content)
    with pytest.raises(place.LabError, match=f"^cannot read {file}: .+$"):
        scenario.read(file)
