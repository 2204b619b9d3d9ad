from typing import Any

import pytest

from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, State
from nanokube.kubelet.probes.results import Results
from nanokube.kubelet.status.containers import Observed, Reason, statuses

FIRST = {"exitCode": 0, "containerID": "test://1"}
POD = {
    "metadata": {"name": "p", "uid": "u"},
    "spec": {"initContainers": [{"name": "i", "image": "x"}], "containers": []},
}


@pytest.mark.parametrize(
    "old",
    [
        pytest.param({"containerID": "test://1", "state": {"terminated": FIRST}}, id="not told of yet"),
        pytest.param(
            {
                "containerID": "test://2",
                "state": {"terminated": {"exitCode": 1}},
                "lastState": {"terminated": FIRST},
            },
            id="told of",
        ),
    ],
)
def test_how_the_attempt_before_ended_is_told_when_the_runtime_has_it_no_more(old: dict[str, Any]) -> None:
    annotations = {labels.RESTART_COUNT: "1"}
    view = ContainerView("2", "i", "box", State.EXITED, annotations=annotations)
    pod = {**POD, "status": {"initContainerStatuses": [{"name": "i", "restartCount": 0, **old}]}}
    seen = Observed(PodView("u", containers=(view,)), Results(), runtime_name="test")
    assert statuses(pod, "initContainers", seen)[0]["lastState"] == {"terminated": FIRST}


def test_what_starts_again_with_all_others_tells_why_it_waits_though_its_policy_says_it_stays_ended() -> None:
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    source = {"name": "source", "image": "x", "restartPolicyRules": [rule]}
    pod = {**POD, "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}, source]}}
    view = PodView(
        "u",
        containers=(
            ContainerView("1", "main", "box", State.EXITED, created_at=1, finished_at=5),
            ContainerView("2", "source", "box", State.EXITED, created_at=2, finished_at=9, exit_code=42),
        ),
    )
    reasons = {"main": Reason("ImagePullBackOff"), "source": Reason("CrashLoopBackOff")}
    shown = statuses(pod, "containers", Observed(view, Results(), reasons=reasons, runtime_name="test"))
    assert [each["state"]["waiting"]["reason"] for each in shown] == ["ImagePullBackOff", "CrashLoopBackOff"]
    assert [each["lastState"]["terminated"]["exitCode"] for each in shown] == [0, 42]
