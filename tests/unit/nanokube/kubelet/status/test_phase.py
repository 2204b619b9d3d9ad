from typing import Any

import pytest

from nanokube.kubelet.status.phase import phase

RUNNING: dict[str, Any] = {"running": {}}
OK = {"terminated": {"exitCode": 0}}
BAD = {"terminated": {"exitCode": 1}}
WAITING: dict[str, Any] = {"waiting": {}}


def judged(
    policy: str,
    containers: list[dict[str, Any]],
    init: list[dict[str, Any]] | None = None,
    *,
    is_terminal: bool = False,
) -> str:
    def named(states: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
        return [{"name": f"{prefix}{n}", "state": s} for n, s in enumerate(states)]

    statuses, first = named(containers, "c"), named(init or [], "i")
    pod = {
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": s["name"]} for s in statuses],
            "initContainers": [{"name": s["name"]} for s in first],
        }
    }
    return phase(pod, first, statuses, is_terminal=is_terminal)


@pytest.mark.parametrize(
    ("policy", "containers", "expected"),
    [
        ("Always", [WAITING], "Pending"),
        ("Always", [RUNNING, RUNNING], "Running"),
        ("Always", [RUNNING, WAITING], "Pending"),
        ("Always", [RUNNING, BAD], "Running"),
        ("Always", [OK], "Running"),
        ("OnFailure", [OK, OK], "Succeeded"),
        ("OnFailure", [OK, BAD], "Running"),
        ("Never", [OK, BAD], "Failed"),
        ("Never", [OK, OK], "Succeeded"),
        ("Never", [RUNNING, BAD], "Running"),
    ],
)
def test_phase_of_containers(policy: str, containers: list[dict[str, Any]], expected: str) -> None:
    assert judged(policy, containers) == expected


@pytest.mark.parametrize(
    ("policy", "init", "expected"),
    [
        ("Always", [RUNNING], "Pending"),
        ("Always", [BAD], "Pending"),
        ("Never", [BAD], "Failed"),
        ("Always", [OK, WAITING], "Pending"),
    ],
)
def test_phase_while_initializing(policy: str, init: list[dict[str, Any]], expected: str) -> None:
    assert judged(policy, [WAITING], init) == expected


def test_what_was_stopped_for_good_has_succeeded_or_failed() -> None:
    assert judged("Always", [OK], is_terminal=True) == "Succeeded"
    assert judged("Always", [BAD], is_terminal=True) == "Failed"


@pytest.mark.parametrize(
    ("init", "container", "restarting", "expected"),
    [
        (OK, BAD, {"c"}, "Running"),
        (OK, BAD, {"i"}, "Failed"),
        (BAD, WAITING, {"i"}, "Pending"),
        (BAD, WAITING, {"c"}, "Failed"),
    ],
)
def test_what_is_yet_to_restart_with_all_others_has_not_failed(
    init: dict[str, Any], container: dict[str, Any], restarting: set[str], expected: str
) -> None:
    pod = {
        "spec": {"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}
    }
    first, statuses = [{"name": "i", "state": init}], [{"name": "c", "state": container}]
    assert phase(pod, first, statuses, restarting=restarting) == expected
