"""List filters and what lists show."""

import dataclasses

from cri.api import runtime_pb2 as pb
from cri.server import batches, filters, present
from cri.store import records


def sandbox(identity: str, state: records.SandboxState, **labels: str) -> records.Sandbox:
    metadata = pb.PodSandboxMetadata(name="web", namespace="default", uid="u")
    config = pb.PodSandboxConfig(metadata=metadata, labels=labels, annotations={"k": "v"})
    return records.Sandbox(id=identity, config=config, state=state, ips=("10.0.0.2", "fd00::2"))


def container(identity: str, pod: str, state: records.ContainerState, **labels: str) -> records.Container:
    config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="c", attempt=3), labels=labels)
    return records.Container(id=identity, sandbox_id=pod, config=config, image_id="sha256:1", state=state)


PODS = [
    sandbox("aa11", records.SandboxState.READY, app="web", tier="front"),
    sandbox("bb22", records.SandboxState.NOTREADY, app="db"),
]
CONTAINERS = [
    container("c1", "aa11", records.ContainerState.RUNNING, app="web"),
    container("c2", "aa11", records.ContainerState.EXITED),
    container("d3", "bb22", records.ContainerState.CREATED),
]


def test_every_condition_of_a_sandbox_filter_must_hold() -> None:
    def ids(selector: pb.PodSandboxFilter, state: pb.PodSandboxState | None = None) -> list[str]:
        return [item.id for item in filters.sandboxes(PODS, selector, state)]

    assert ids(pb.PodSandboxFilter()) == ["aa11", "bb22"]
    assert ids(pb.PodSandboxFilter(id="aa")) == ["aa11"]
    assert ids(pb.PodSandboxFilter(), pb.SANDBOX_NOTREADY) == ["bb22"]
    assert ids(pb.PodSandboxFilter(label_selector={"app": "web", "tier": "front"})) == ["aa11"]
    assert ids(pb.PodSandboxFilter(label_selector={"app": "web", "tier": "back"})) == []
    assert ids(pb.PodSandboxFilter(id="bb22", label_selector={"app": "web"})) == []


def test_every_condition_of_a_container_filter_must_hold() -> None:
    def ids(selector: pb.ContainerFilter, state: pb.ContainerState | None = None) -> list[str]:
        return [item.id for item in filters.containers(CONTAINERS, selector, state)]

    assert ids(pb.ContainerFilter()) == ["c1", "c2", "d3"]
    assert ids(pb.ContainerFilter(pod_sandbox_id="aa")) == ["c1", "c2"]
    assert ids(pb.ContainerFilter(), pb.CONTAINER_EXITED) == ["c2"]
    assert ids(pb.ContainerFilter(id="d3", pod_sandbox_id="aa11")) == []
    assert ids(pb.ContainerFilter(label_selector={"app": "web"})) == ["c1"]


def test_a_sandbox_shows_its_addresses_only_while_ready() -> None:
    shown = present.sandbox_status(PODS[0])
    assert (shown.network.ip, [ip.ip for ip in shown.network.additional_ips]) == ("10.0.0.2", ["fd00::2"])
    assert present.sandbox_status(PODS[1]).network.ip == ""
    assert dict(present.sandbox(PODS[0]).annotations) == {"k": "v"}


def test_a_container_shows_what_it_was_made_from() -> None:
    volume = pb.Mount(container_path="/data", readonly=True, image=pb.ImageSpec(image="data:1"))
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="c"),
        image=pb.ImageSpec(image="sha256:1", user_specified_image="busybox:1"),
        mounts=[volume],
    )
    record = dataclasses.replace(
        CONTAINERS[0],
        config=config,
        user=records.User(1000, 100, (5,)),
        image_mounts={"/data": "sha256:2"},
        stop_signal="SIGQUIT",
    )
    shown = present.container_status(record)
    assert shown.image.image == "busybox:1"
    assert shown.image_ref == shown.image_id == present.container(record).image_id == "sha256:1"
    assert shown.mounts[0].image.image_ref == "sha256:2"
    assert (shown.user.linux.uid, list(shown.user.linux.supplemental_groups)) == (1000, [5])
    assert shown.stop_signal == pb.SIGQUIT
    assert record.config.mounts[0].image.image_ref == ""


def test_batches_keep_order_and_rest() -> None:
    assert [list(batch) for batch in batches.of([1, 2, 3], 2)] == [[1, 2], [3]]
    assert list(batches.of([])) == []
