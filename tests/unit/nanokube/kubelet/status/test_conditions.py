from typing import Any

import pytest

from nanokube.kubelet.podview import ContainerView, PodView, State
from nanokube.kubelet.status import conditions


def pod(action: str) -> dict[str, Any]:
    rule = {"action": action, "exitCodes": {"operator": "In", "values": [42]}}
    source = {"name": "a", "restartPolicy": "Never", "restartPolicyRules": [rule]}
    return {"metadata": {"name": "p"}, "spec": {"containers": [source, {"name": "b"}]}}


@pytest.mark.parametrize(
    ("action", "phase", "b", "expected"),
    [
        ("Restart", "Running", State.RUNNING, []),
        ("RestartAllContainers", "Running", State.RUNNING, [("True", "RestartAllContainersStarted")]),
        ("RestartAllContainers", "Running", State.EXITED, [("False", None)]),
        ("RestartAllContainers", "Failed", State.EXITED, [("False", "PodFailed")]),
    ],
)
def test_a_pod_tells_that_all_its_containers_restart(
    action: str, phase: str, b: State, expected: list[tuple[str, str | None]]
) -> None:
    source = ContainerView("1", "a", "box", State.EXITED, created_at=1, finished_at=5, exit_code=42)
    view = PodView("u", containers=(source, ContainerView("2", "b", "box", b, created_at=1)))
    found = conditions.restarting(pod(action), phase, view, 0.0)
    assert [(each["status"], each.get("reason")) for each in found] == expected
