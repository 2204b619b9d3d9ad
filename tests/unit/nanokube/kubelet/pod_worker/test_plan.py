import dataclasses
from typing import Any

import pytest

from nanokube.kubelet.backoff import Backoffs
from nanokube.kubelet.containers import labels
from nanokube.kubelet.pod_worker.plan import Plan, backoff_key, plan
from nanokube.kubelet.podview import ContainerView, PodView, SandboxView, State
from nanokube.kubelet.probes.results import Kind, Results, Verdict

BOX = SandboxView("box", 0, True, 1, ips=("10.244.0.2",))


def pod(policy: str = "Always", init: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "x", "uid": "u"},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
            "initContainers": init or [],
        },
    }


def container(name: str, state: State, code: int = 0, image: str = "i") -> ContainerView:
    annotations = {labels.HASH: labels.container_hash({"name": name, "image": image})}
    return ContainerView(
        f"id-{name}", name, "box", state, exit_code=code, finished_at=10**9, annotations=annotations
    )


def planned(
    spec: dict[str, Any],
    *containers: ContainerView,
    box: SandboxView | None = BOX,
    results: Results | None = None,
) -> Plan:
    view = PodView("u", sandboxes=(box,) if box else (), containers=containers)
    return plan(spec, view, results or Results(), Backoffs(), 100.0)


RUNNING, EXITED = State.RUNNING, State.EXITED


def test_nothing_there_makes_everything() -> None:
    found = planned(pod(), box=None)
    assert found.create_sandbox
    assert found.start == ("a", "b")


def test_init_containers_come_first() -> None:
    found = planned(pod(init=[{"name": "i1"}, {"name": "i2"}]), box=None)
    assert (found.init, found.start) == (("i1",), ())


def test_what_runs_is_left_alone() -> None:
    assert planned(pod(), container("a", RUNNING), container("b", RUNNING)).is_idle


@pytest.mark.parametrize(
    ("policy", "code", "start"),
    [("Always", 0, ("b",)), ("OnFailure", 0, ()), ("OnFailure", 1, ("b",)), ("Never", 1, ())],
)
def test_restart_policies(policy: str, code: int, start: tuple[str, ...]) -> None:
    found = planned(pod(policy), container("a", RUNNING), container("b", EXITED, code))
    assert found.start == start
    assert not found.kill_pod


def test_a_pod_whose_work_is_done_is_taken_down() -> None:
    assert planned(pod("Never"), container("a", EXITED), container("b", EXITED, 1)).kill_pod


def test_a_dead_sandbox_takes_everything_with_it() -> None:
    dead = SandboxView("box", 3, False, 1)
    found = planned(pod(), container("a", RUNNING), box=dead)
    assert (found.kill_pod, found.create_sandbox, found.attempt) == (True, True, 4)


@pytest.mark.parametrize(
    ("pods", "own", "start"),
    [
        ("Always", "OnFailure", ("b",)),
        ("Always", "Never", ("a", "b")),
        ("OnFailure", "Always", ("a", "b")),
        ("OnFailure", "Never", ("a", "b")),
    ],
)
def test_a_containers_own_policy_says_whether_it_runs_again_in_a_new_sandbox(
    pods: str, own: str, start: tuple[str, ...]
) -> None:
    spec = pod(pods)
    spec["spec"]["containers"][0]["restartPolicy"] = own
    dead = SandboxView("box", 3, False, 1)
    found = planned(spec, container("a", EXITED), container("b", RUNNING), box=dead)
    assert found.start == start


def test_a_finished_pod_gets_no_new_sandbox() -> None:
    dead = SandboxView("box", 0, False, 1)
    found = planned(pod("OnFailure"), container("a", EXITED), container("b", EXITED), box=dead)
    assert found.kill_pod
    assert not found.create_sandbox


def test_another_image_restarts() -> None:
    found = planned(pod(), container("a", RUNNING, image="old"), container("b", RUNNING))
    assert [kill.container.name for kill in found.kill] == ["a"]
    assert found.kill[0].message == "Container a definition changed, will be restarted"
    assert found.start == ("a",)


def test_failed_liveness_restarts() -> None:
    results = Results()
    results.set("id-a", Kind.LIVENESS, Verdict.FAILURE)
    found = planned(pod(), container("a", RUNNING), container("b", RUNNING), results=results)
    assert [kill.reason for kill in found.kill] == ["Unhealthy"]


def test_a_restart_waits_for_its_back_off() -> None:
    backoffs = Backoffs()
    backoffs.next(backoff_key(pod(), "b"), 1.0, 1.0)
    view = PodView("u", sandboxes=(BOX,), containers=(container("a", RUNNING), container("b", EXITED, 1)))
    found = plan(pod(), view, Results(), backoffs, 5.0)
    assert found.start == ()
    assert [(d.name, d.until) for d in found.delayed] == [("b", 11.0)]


def test_a_sidecar_that_died_comes_back_beside_the_others() -> None:
    spec = pod(init=[{"name": "s", "image": "i", "restartPolicy": "Always"}])
    found = planned(spec, container("a", RUNNING), container("b", RUNNING), container("s", EXITED, 1))
    assert found.init == ("s",)
    assert not found.kill_pod


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    spec = pod("Never", init=[{"name": "i1"}])
    assert planned(spec, container("i1", EXITED, 1)).kill_pod
    assert planned(pod(init=[{"name": "i1"}]), container("i1", EXITED, 1)).init == ("i1",)


def rule(action: str, *codes: int, operator: str = "In") -> dict[str, Any]:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


@pytest.mark.parametrize(
    ("rules", "code", "start"),
    [
        ([rule("Restart", 42)], 42, ("b",)),
        ([rule("Restart", 42)], 1, ()),
        ([rule("Restart", 0, operator="NotIn")], 1, ("b",)),
        ([rule("Restart", 0, operator="NotIn")], 0, ()),
        ([rule("Restart", 1), rule("Restart", 2)], 2, ("b",)),
    ],
)
def test_rules_of_a_container_go_before_its_policy(
    rules: list[dict[str, Any]], code: int, start: tuple[str, ...]
) -> None:
    spec = pod("Always")
    spec["spec"]["containers"][1] |= {"restartPolicy": "Never", "restartPolicyRules": rules}
    found = planned(spec, container("a", RUNNING), container("b", EXITED, code))
    assert found.start == start


def test_an_init_container_has_a_policy_of_its_own() -> None:
    never = {"name": "i1", "image": "i", "restartPolicy": "Never"}
    assert planned(pod("Always", [never]), container("i1", EXITED, 1)).kill_pod
    again = {**never, "restartPolicyRules": [rule("Restart", 42)]}
    assert planned(pod("Never", [again]), container("i1", EXITED, 42)).init == ("i1",)
    assert planned(pod("Never", [again]), container("i1", EXITED, 1)).kill_pod


def test_a_rule_may_start_all_containers_again() -> None:
    spec = pod("Never", [{"name": "i1", "image": "i"}])
    spec["spec"]["containers"][1] |= {"restartPolicy": "Never"}
    spec["spec"]["containers"][1] |= {"restartPolicyRules": [rule("RestartAllContainers", 42)]}
    former = dataclasses.replace(container("a", RUNNING), created_at=10)
    source = dataclasses.replace(container("b", EXITED, 42), created_at=20, finished_at=50 * 10**9)
    init = dataclasses.replace(container("i1", EXITED), created_at=5)
    found = planned(spec, source, former, init)
    assert [(each.container.name, each.has_grace) for each in found.kill] == [("a", False)]
    assert (found.start, found.init, found.kill_pod) == ((), (), False)

    ended = dataclasses.replace(former, state=EXITED, exit_code=137, finished_at=51 * 10**9)
    found = planned(spec, source, ended, init)
    assert (found.init, found.kill, found.kill_pod) == (("i1",), (), False)

    anew = dataclasses.replace(init, id="i1-2", created_at=60 * 10**9)
    found = planned(spec, anew, source, ended, init)
    assert found.start == ("a", "b")
    again = [
        dataclasses.replace(container(name, RUNNING), id=f"{name}-2", created_at=61 * 10**9) for name in "ab"
    ]
    assert planned(spec, *again, anew, source, ended, init).is_idle
