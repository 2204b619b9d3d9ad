from typing import Any

import pytest

from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, State
from nanokube.kubelet.probes.results import Results
from nanokube.kubelet.status.containers import Observed, statuses

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
