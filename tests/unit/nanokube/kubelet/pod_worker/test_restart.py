"""Restarts of all containers of a Pod, on a fake runtime in virtual time."""

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.nanokube.kubelet.world import World, app, play, pod

RULE: dict[str, Any] = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
INIT = [app(name="first"), app(name="proxy", restartPolicy="Always")]
CONTAINERS = [
    app(name="source", restartPolicy="Never", restartPolicyRules=[RULE]),
    app(name="other"),
    app(name="last"),
]


def starts(world: World) -> list[str]:
    return [call.removeprefix("start ") for call in world.runtime.calls if call.startswith("start ")]


def test_what_was_still_to_be_made_at_the_exit_starts_again_too(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.start_delay_s = 1.0
        await world.create(pod(initContainers=INIT, containers=CONTAINERS, restartPolicy="Never"))
        await world.until(lambda: world.runtime.running() == ["first"])
        world.runtime.exit("first")
        await world.until(lambda: "source" in world.runtime.running())
        assert "create last" not in world.runtime.calls
        world.runtime.exit("source", 42)
        await world.until(lambda: "first" in world.runtime.running())
        assert world.runtime.running() == ["first"]
        world.runtime.exit("first")
        await world.until(lambda: world.condition("Ready") == "True")
        names = ["first", "proxy", "source", "other", "last"]
        assert starts(world) == names * 2
        fields = ("initContainerStatuses", "containerStatuses")
        assert [each["restartCount"] for field in fields for each in world.status()[field]] == [1] * 5

    play(tmp_path, scenario)


def test_a_sidecars_exit_restarts_what_by_its_own_policy_stays_ended(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        source = app(name="source", restartPolicy="Always", restartPolicyRules=[RULE])
        await world.create(
            pod(initContainers=[*INIT, source], containers=[app(name="main")], restartPolicy="Never")
        )
        await world.until(lambda: world.runtime.running() == ["first"])
        world.runtime.exit("first")
        await world.until(lambda: world.condition("Ready") == "True")
        await asyncio.sleep(30)
        world.runtime.exit("source", 42)
        await world.until(lambda: world.runtime.running() == ["first"])
        world.runtime.exit("first")
        await world.until(lambda: world.condition("Ready") == "True")
        assert starts(world) == ["first", "proxy", "source", "main"] * 2
        fields = ("initContainerStatuses", "containerStatuses")
        shown = [each for field in fields for each in world.status()[field]]
        assert [each["restartCount"] for each in shown] == [1] * 4
        assert [each["lastState"]["terminated"]["exitCode"] for each in shown] == [0, 137, 42, 137]

    play(tmp_path, scenario)


def test_a_sidecars_exit_restarts_an_init_container_it_killed(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        source = app(name="source", restartPolicy="Always", restartPolicyRules=[RULE])
        await world.create(pod(initContainers=[source, app(name="setup")], restartPolicy="Never"))
        await world.until(lambda: "setup" in world.runtime.running())
        await asyncio.sleep(1)
        world.runtime.exit("source", 42)
        await world.until(lambda: starts(world) == ["source", "setup"] * 2)
        await world.until(lambda: "setup" in world.runtime.running())
        world.runtime.exit("setup")
        await world.until(lambda: world.condition("Ready") == "True")

    play(tmp_path, scenario)
