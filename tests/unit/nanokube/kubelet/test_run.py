"""A Pod's life from its binding to its end, on a fake runtime and a fake API server, in virtual time."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from nanokube.api import resources
from nanokube.kit import virtual_time
from nanokube.kubelet.fake import FakeRuntime
from nanokube.kubelet.runtime import FaultKind, RuntimeFault
from tests.unit.nanokube.kubelet.world import (
    NODE,
    PODS,
    Server,
    Ticking,
    World,
    app,
    config,
    play,
    pod,
    with_kubelet,
)


def test_a_pod_runs_and_becomes_ready_within_a_quarter_second(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True")
        assert loop.time() - began < 0.25
        status = world.status()
        assert status["phase"] == "Running"
        assert status["podIP"].startswith("10.244.0.")
        assert status["hostIP"] == "192.0.2.1"
        assert status["qosClass"] == "BestEffort"
        assert world.state()["containerID"].startswith("nanokube://app-")
        assert world.state()["restartCount"] == 0
        await asyncio.sleep(5)
        for reason in ("Pulled", "Created", "Started"):
            assert reason in world.reasons()

    play(tmp_path, scenario)


def test_a_deleted_pod_gets_its_grace_period_and_leaves_nothing(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True")
        uid = (world.pod() or {})["metadata"]["uid"]
        await world.client.delete(PODS, "web", "default", grace_period_s=7)
        await world.until(lambda: world.pod() is None)
        assert "stop app 7" in world.runtime.calls
        assert (await world.runtime.pod(uid)).sandboxes == ()
        assert not (world.config.root / "pods" / uid).exists()

    play(tmp_path, scenario)


def test_a_shortened_grace_period_cuts_the_stop_short(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.stop_delay_s = 1000
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True")
        await world.client.delete(PODS, "web", "default", grace_period_s=500)
        await asyncio.sleep(1)
        await world.client.delete(PODS, "web", "default", grace_period_s=2)
        await world.until(lambda: world.pod() is None, seconds=10)

    play(tmp_path, scenario)


def test_crashes_restart_with_growing_delays(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True")
        world.runtime.exit("app", 1)
        await world.until(lambda: world.runtime.running() == ["app"], seconds=1)
        await world.until(lambda: world.state()["restartCount"] == 1)
        world.runtime.exit("app", 1)
        await world.until(
            lambda: world.state()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", seconds=1
        )
        assert world.state()["lastState"]["terminated"]["exitCode"] == 1
        assert world.status()["phase"] == "Running"
        await asyncio.sleep(9)
        assert world.runtime.running() == []
        await world.until(lambda: world.runtime.running() == ["app"], seconds=2)
        await world.until(lambda: world.state()["restartCount"] == 2)

    play(tmp_path, scenario)


def test_a_container_that_cannot_start_waits_longer_each_time(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.failures["start"] = RuntimeFault(FaultKind.OTHER, "no such file")
        await world.create(pod())
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(8)
        assert world.state()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        await asyncio.sleep(592)
        assert asyncio.get_running_loop().time() - began == pytest.approx(600)
        assert world.runtime.calls.count("start app") == 7  # at 0, 1, 11, 31, 71, 151, 311, next at 611

    play(tmp_path, scenario)


def test_a_new_sandbox_does_not_spare_a_crashing_container_its_delay(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod())
        for _ in range(2):
            await world.until(lambda: world.runtime.running() == ["app"], seconds=15)
            await asyncio.sleep(1)
            world.runtime.exit("app", 1)
            await asyncio.sleep(0.1)
        world.runtime.lose_sandboxes()
        await asyncio.sleep(8)
        assert any(call.startswith("sandbox") for call in world.runtime.calls[-20:])
        assert world.runtime.running() == []
        await world.until(lambda: world.runtime.running() == ["app"], seconds=3)

    play(tmp_path, scenario)


def test_a_pod_that_overfills_its_directory_is_evicted(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
        await world.create(pod(volumes=volumes))
        await world.until(lambda: world.condition("Ready") == "True")
        (place,) = world.config.root.glob("pods/*/volumes/kubernetes.io~empty-dir/v")
        (place / "file").write_bytes(b"x" * (1 << 21))
        await world.until(lambda: world.status()["phase"] == "Failed", seconds=15)
        assert world.status()["reason"] == "Evicted"
        assert world.status()["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
        assert "Evicted" in world.reasons()
        assert world.runtime.running() == []

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_that_ran_once_ends(tmp_path: Path, policy: str, code: int, phase: str) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(restartPolicy=policy))
        await world.until(lambda: world.status().get("phase") == "Running")
        world.runtime.exit("app", code)
        await world.until(lambda: world.status()["phase"] == phase)
        assert world.state()["state"]["terminated"]["exitCode"] == code
        await asyncio.sleep(120)
        assert world.runtime.calls.count("start app") == 1

    play(tmp_path, scenario)


def test_init_containers_run_in_order_and_sidecars_stay(tmp_path: Path) -> None:
    init = [
        app(name="first"),
        app(name="proxy", restartPolicy="Always"),
        app(name="second"),
    ]

    async def scenario(world: World) -> None:
        await world.create(pod(initContainers=init))
        await world.until(lambda: world.runtime.running() == ["first"])
        await world.until(lambda: world.condition("Initialized") == "False")
        assert world.status()["phase"] == "Pending"
        world.runtime.exit("first")
        await world.until(lambda: world.runtime.running() == ["proxy", "second"])
        world.runtime.exit("second")
        await world.until(lambda: world.condition("Ready") == "True")
        assert world.runtime.running() == ["proxy", "app"]
        assert world.condition("Initialized") == "True"
        starts = [call for call in world.runtime.calls if call.startswith("start ")]
        assert starts == ["start first", "start proxy", "start second", "start app"]

    play(tmp_path, scenario)


def test_a_failing_init_container_fails_a_pod_that_never_restarts(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(initContainers=[app(name="first")], restartPolicy="Never"))
        await world.until(lambda: world.runtime.running() == ["first"])
        world.runtime.exit("first", 1)
        await world.until(lambda: world.status().get("phase") == "Failed")
        assert "start app" not in world.runtime.calls

    play(tmp_path, scenario)


def test_a_missing_image_backs_off_and_comes_back(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(containers=[app(image="other:1")]))

        def waiting() -> dict[str, Any]:
            statuses = world.status().get("containerStatuses") or [{"state": {}}]
            return dict(statuses[0]["state"].get("waiting") or {})

        await world.until(lambda: waiting().get("reason") == "ErrImagePull")
        await world.until(lambda: waiting().get("reason") == "ImagePullBackOff")
        world.runtime.add_image("other:1", remote=True)
        await world.until(lambda: world.condition("Ready") == "True", seconds=30)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        ("other:1", "IfNotPresent", "ErrImagePull"),
        ("other:1", "IfNotPresent", "ImagePullBackOff"),
        ("other:1", "Never", "ErrImageNeverPull"),
        ("BAD::1", "Always", "InvalidImageName"),
    ],
)
@pytest.mark.parametrize("of", ["container", "volume"])
def test_every_want_of_an_image_is_an_event_of_its_container(
    tmp_path: Path, of: str, image: str, policy: str, reason: str
) -> None:
    async def scenario(world: World) -> None:
        if of == "container":
            await world.create(pod(containers=[app(image=image, imagePullPolicy=policy)]))
        else:
            volume = {"name": "data", "image": {"reference": image, "pullPolicy": policy}}
            container = app(volumeMounts=[{"name": "data", "mountPath": "/data"}])
            await world.create(pod(containers=[container], volumes=[volume]))

        def told() -> set[tuple[str, str, str]]:
            return {
                (event["reason"], event["message"], event["involvedObject"].get("fieldPath", ""))
                for event in world.client.all(resources.get("events"))
            }

        await world.until(lambda: ("Failed", f"Error: {reason}", "spec.containers{app}") in told())

    play(tmp_path, scenario)


def test_image_volumes_are_pulled_by_their_own_policy(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.add_image("data:1", remote=True)
        volume = {"name": "data", "image": {"reference": "data:1", "pullPolicy": "Always"}}
        mounts = [{"name": "data", "mountPath": "/data", "subPath": "x"}]
        await world.create(pod(containers=[app(volumeMounts=mounts)], volumes=[volume]))
        await world.until(lambda: world.condition("Ready") == "True")
        assert "pull data:1" in world.runtime.calls

    play(tmp_path, scenario)


def test_an_image_volume_that_cannot_be_pulled_keeps_its_container_waiting(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        volume = {"name": "data", "image": {"reference": "data:1", "pullPolicy": "IfNotPresent"}}
        mounts = [{"name": "data", "mountPath": "/data"}]
        await world.create(pod(containers=[app(volumeMounts=mounts)], volumes=[volume]))

        def reason() -> str:
            statuses = world.status().get("containerStatuses") or [{"state": {}}]
            return str(statuses[0]["state"].get("waiting", {}).get("reason"))

        await world.until(lambda: reason() == "ErrImagePull")
        await world.until(lambda: reason() == "ImagePullBackOff")
        world.runtime.add_image("data:1", remote=True)
        await world.until(lambda: world.condition("Ready") == "True", seconds=30)

    play(tmp_path, scenario)


def test_a_missing_config_map_is_said_and_then_found(tmp_path: Path) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]

    async def scenario(world: World) -> None:
        await world.create(pod(containers=[app(env=env)]))
        await world.until(
            lambda: (
                "containerStatuses" in world.status()
                and world.state()["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
            )
        )
        assert world.state()["state"]["waiting"]["message"] == 'configmap "settings" not found'
        body = {"metadata": {"name": "settings", "namespace": "default"}, "data": {"a": "1"}}
        await world.client.create(resources.get("configmaps"), body)
        await world.until(lambda: world.condition("Ready") == "True", seconds=60)

    play(tmp_path, scenario)


def test_readiness_and_liveness_probes_rule(tmp_path: Path) -> None:
    probes = {
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 2},
    }

    async def scenario(world: World) -> None:
        world.runtime.exec_codes["ready"] = 1
        await world.create(pod(containers=[app(**probes)]))
        await asyncio.sleep(5)
        assert world.status()["phase"] == "Running"
        assert world.condition("Ready") == "False"
        world.runtime.exec_codes["ready"] = 0
        await world.until(lambda: world.condition("Ready") == "True", seconds=3)
        world.runtime.exec_codes["alive"] = 1
        await world.until(lambda: world.state()["restartCount"] >= 1, seconds=10)
        assert "Unhealthy" in world.reasons()
        assert "Killing" in world.reasons()

    play(tmp_path, scenario)


def test_a_pod_that_ends_slowly_is_no_longer_ready_once_it_says_so(tmp_path: Path) -> None:
    probes = {
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1, "failureThreshold": 2},
        "livenessProbe": {"exec": {"command": ["alive"]}, "periodSeconds": 1},
    }

    async def scenario(world: World) -> None:
        world.runtime.stop_delay_s = 60
        await world.create(pod(containers=[app(**probes)]))
        await world.until(lambda: world.condition("Ready") == "True")
        await world.client.delete(PODS, "web", "default", grace_period_s=30)
        await asyncio.sleep(5)
        assert world.condition("Ready") == "True"
        world.runtime.exec_codes["ready"] = 1
        asked = world.runtime.calls.count("exec app alive")
        await asyncio.sleep(5)
        assert world.condition("Ready") == "False"
        assert "running" in world.state()["state"]
        world.runtime.exec_codes["ready"] = 0
        await world.until(lambda: world.condition("Ready") == "True", seconds=5)
        await world.until(lambda: world.pod() is None, seconds=30)
        assert world.runtime.calls.count("exec app alive") == asked

    play(tmp_path, scenario)


def test_hooks_run_after_start_and_before_stop(tmp_path: Path) -> None:
    lifecycle = {"postStart": {"exec": {"command": ["hello"]}}, "preStop": {"exec": {"command": ["bye"]}}}

    async def scenario(world: World) -> None:
        await world.create(pod(containers=[app(lifecycle=lifecycle)]))
        await world.until(lambda: world.condition("Ready") == "True")
        assert "exec app hello" in world.runtime.calls
        await world.client.delete(PODS, "web", "default")
        await world.until(lambda: world.pod() is None)
        calls = world.runtime.calls
        assert calls.index("exec app bye") < calls.index("stop app 30")

    play(tmp_path, scenario)


def test_a_restarted_kubelet_adopts_what_runs(tmp_path: Path) -> None:
    async def main() -> None:
        time = Ticking()
        world = World(Server(time=time), FakeRuntime(time.time), config(tmp_path))
        world.runtime.add_image("app:1")

        async def first(world: World) -> None:
            await world.create(pod())
            await world.create(pod("gone"))
            await world.until(lambda: world.runtime.running() == ["app", "app"])
            await world.until(lambda: world.status("gone").get("phase") == "Running")

        await with_kubelet(world, time, first)
        world.client.remove(PODS, "default/gone")
        calls = len(world.runtime.calls)

        async def second(world: World) -> None:
            await world.until(lambda: world.runtime.running() == ["app"])
            await asyncio.sleep(120)
            assert not any(call.startswith(("start", "create")) for call in world.runtime.calls[calls:])
            assert world.condition("Ready") == "True"
            assert len(await world.runtime.pods()) == 1

        await with_kubelet(world, time, second)

    virtual_time.run(main())


def test_a_lost_sandbox_starts_the_pod_anew(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True")
        world.runtime.exit("app", 137)
        world.runtime.lose_sandboxes()
        await world.until(lambda: world.runtime.calls.count("sandbox web") == 2)
        await world.until(lambda: world.condition("Ready") == "True")
        assert world.state()["restartCount"] == 1

    play(tmp_path, scenario)


def test_a_pod_keeps_its_own_users_over_a_restart_and_gives_them_back(tmp_path: Path) -> None:
    async def main() -> None:
        time = Ticking()
        world = World(Server(time=time), FakeRuntime(time.time), config(tmp_path))
        world.runtime.add_image("app:1")

        def ranges() -> list[int]:
            made: list[Any] = [*world.runtime.sandbox_configs.values(), *world.runtime.configs.values()]
            options = [each.linux.security_context.namespace_options.userns_options for each in made]
            assert all(each.mode == pb.POD and each.uids == each.gids for each in options)
            return [each.uids[0].host_id for each in options]

        async def first(world: World) -> None:
            await world.create(pod(hostUsers=False))
            await world.until(lambda: world.condition("Ready") == "True")

        async def second(world: World) -> None:
            world.runtime.exit("app", 1)
            await world.until(lambda: world.state()["restartCount"] == 1)
            assert len(set(ranges())) == 1
            assert len(ranges()) == 3  # the sandbox, and the container twice
            mount = next(iter(world.runtime.configs.values())).mounts[0]
            assert mount.uidMappings[0].host_id == ranges()[0]
            await world.client.delete(PODS, "web", "default", grace_period_s=0)
            await world.until(lambda: world.pod() is None)
            await world.create(pod("next", hostUsers=False))
            await world.until(lambda: world.condition("Ready") == "True" or world.status("next") != {})

        await with_kubelet(world, time, first)
        assert len(list((world.config.root / "pods").glob("*/userns"))) == 1
        await with_kubelet(world, time, second)

    virtual_time.run(main())


def test_own_users_are_refused_where_the_runtime_has_none(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.has_user_namespaces = False
        await world.create(pod(hostUsers=False))
        await world.until(lambda: "FailedCreatePodSandBox" in world.reasons(), seconds=20)
        assert not world.runtime.running()
        world.runtime.has_user_namespaces = True
        await world.until(lambda: world.condition("Ready") == "True", seconds=30)

    play(tmp_path, scenario)


def test_a_pod_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(containers=[app(resources={"requests": {"cpu": "5"}})]))
        await world.until(lambda: world.status().get("phase") == "Failed")
        assert world.status()["reason"] == "OutOfcpu"
        assert world.runtime.running() == []
        await world.create(pod("picky", nodeSelector={"disk": "ssd"}))
        await world.until(lambda: world.status("picky").get("reason") == "NodeAffinity")

    play(tmp_path, scenario)


def test_a_pod_gone_from_the_api_makes_room_at_once(tmp_path: Path) -> None:
    """Deleted with no grace: the scheduler gives its place away while its container still ends."""

    async def scenario(world: World) -> None:
        big = {"requests": {"cpu": "3"}}
        await world.create(pod(containers=[app(resources=big)]))
        await world.until(lambda: world.condition("Ready") == "True")
        world.runtime.stop_delay_s = 1000
        await world.client.delete(PODS, "web", "default", grace_period_s=0)
        await world.create(pod("next", containers=[{**app(resources=big), "name": "new"}]))
        await world.until(lambda: world.runtime.running() == ["app", "new"])
        assert world.status("next").get("phase") != "Failed"

    play(tmp_path, scenario)


def test_a_deadline_fails_the_pod(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(activeDeadlineSeconds=5))
        await world.until(lambda: world.condition("Ready") == "True")
        await world.until(lambda: world.status()["phase"] == "Failed", seconds=10)
        assert world.status()["reason"] == "DeadlineExceeded"
        assert world.runtime.running() == []

    play(tmp_path, scenario)


def test_volumes_follow_the_api(tmp_path: Path) -> None:
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "password", "secret": {"secretName": "password", "defaultMode": 0o400}},
        {
            "name": "token",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
        "data": {"color": "red"},
    }
    password = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "password", "namespace": "default"},
        "data": {"p": base64.b64encode(b"x\0y").decode()},
    }

    async def scenario(world: World) -> None:
        await world.create(pod(volumes=volumes, containers=[app(volumeMounts=mounts)]))
        await world.until(lambda: world.condition("Ready") == "True")
        made = next(iter(world.runtime.configs.values()))
        paths = {mount.container_path: Path(mount.host_path) for mount in made.mounts}
        assert (paths["/settings"] / "color").read_text() == "red"
        assert (paths["/password"] / "p").read_bytes() == b"x\0y"
        assert (paths["/password"] / "p").stat().st_mode & 0o777 == 0o400
        assert (paths["/token"] / "token").read_text() == "token-of-default"
        assert (paths["/token"] / "l").read_text() == 'app="web"'
        assert paths["/etc/hosts"].read_text().startswith("# Kubernetes-managed hosts file.\n")
        change = {"data": {"color": "blue"}}
        await world.client.patch(resources.get("configmaps"), "settings", change, "default")
        await world.until(lambda: (paths["/settings"] / "color").read_text() == "blue", seconds=120)

    play(tmp_path, scenario, settings, password)


def test_a_sandbox_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.runtime.failures["sandbox web"] = RuntimeFault(FaultKind.OTHER, "no address left")
        await world.create(pod())
        await world.until(lambda: world.condition("Ready") == "True", seconds=5)
        await asyncio.sleep(5)
        assert "FailedCreatePodSandBox" in world.reasons()

    play(tmp_path, scenario)


def test_the_node_is_registered_and_keeps_its_lease(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        node = world.client.read(resources.get("nodes"), NODE)
        assert node is not None
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == NODE
        assert node["status"]["capacity"]["cpu"] == "4"
        assert node["status"]["runtimeHandlers"][0]["features"]["userNamespaces"] is True
        assert [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"] == ["True"]
        lease = world.client.read(resources.get("leases.coordination.k8s.io"), f"kube-node-lease/{NODE}")
        await asyncio.sleep(11)
        renewed = world.client.read(resources.get("leases.coordination.k8s.io"), f"kube-node-lease/{NODE}")
        assert lease is not None
        assert renewed is not None
        assert renewed["spec"]["renewTime"] > lease["spec"]["renewTime"]
        assert "cidr 10.244.0.0/24" in world.runtime.calls

    play(tmp_path, scenario)
