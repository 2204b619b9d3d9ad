"""Records as CRI shows them. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from cri.api import runtime_pb2 as pb
from cri.server import filters, runtime_spec
from cri.store import records


def sandbox(record: records.Sandbox) -> pb.PodSandbox:
    """Return the sandbox as ListPodSandbox shows it."""
    return pb.PodSandbox(
        id=record.id,
        metadata=record.config.metadata,
        state=filters.SANDBOX_STATES[record.state],
        created_at=record.created_at,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def sandbox_status(record: records.Sandbox) -> pb.PodSandboxStatus:
    """Return the sandbox as PodSandboxStatus shows it."""
    return pb.PodSandboxStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=filters.SANDBOX_STATES[record.state],
        created_at=record.created_at,
        network=_network(record),
        linux=pb.LinuxPodSandboxStatus(
            namespaces=pb.Namespace(options=records.namespace_options(record.config))
        ),
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def sandbox_info(record: records.Sandbox) -> dict[str, str]:
    """Return the verbose answer: one JSON document, as CRI tools expect."""
    info: dict[str, Any] = {
        "config": json_format.MessageToDict(record.config, preserving_proto_field_name=True),
        "runtimeSpec": {"linux": runtime_spec.of_namespaces(record.namespaces)},
        "namespaces": dict(record.namespaces),
        "cgroup": record.cgroup,
        "cniResult": (record.attachment or {}).get("result"),
        "isNetworkDown": record.is_network_down,
    }
    return {"info": json.dumps(info)}


def container(record: records.Container) -> pb.Container:
    """Return the container as ListContainers shows it."""
    return pb.Container(
        id=record.id,
        pod_sandbox_id=record.sandbox_id,
        metadata=record.config.metadata,
        image=record.config.image,
        image_ref=record.image_id,
        image_id=record.image_id,
        state=filters.CONTAINER_STATES[record.state],
        created_at=record.created_at,
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def container_status(record: records.Container) -> pb.ContainerStatus:
    """Return the container as ContainerStatus shows it."""
    status = pb.ContainerStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=filters.CONTAINER_STATES[record.state],
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        exit_code=record.exit_code,
        image=_image(record),
        image_ref=record.image_ref or record.image_id,
        image_id=record.image_id,
        reason=record.reason,
        message=record.message,
        labels=record.config.labels,
        annotations=record.config.annotations,
        mounts=[_mount(mount, record.image_mounts) for mount in record.config.mounts],
        log_path=record.log_path,
        resources=pb.ContainerResources(linux=record.resources or record.config.linux.resources),
        stop_signal=_signal(record.stop_signal),
    )
    if record.user is not None:
        status.user.linux.uid = record.user.uid
        status.user.linux.gid = record.user.gid
        status.user.linux.supplemental_groups.extend(record.user.groups)
    return status


def container_info(record: records.Container, pid: int | None, extra: Mapping[str, Any]) -> dict[str, str]:
    """Return the verbose answer: one JSON document, as CRI tools expect."""
    info = {
        "sandboxID": record.sandbox_id,
        "pid": pid or 0,
        "cgroup": record.cgroup,
        "config": json_format.MessageToDict(record.config, preserving_proto_field_name=True),
        **extra,
    }
    return {"info": json.dumps(info)}


def _network(record: records.Sandbox) -> pb.PodSandboxNetworkStatus:
    """Return the Pod's addresses; a stopped sandbox and one on the host's network have none."""
    status = pb.PodSandboxNetworkStatus()
    if record.state is records.SandboxState.READY and record.ips:
        status.ip = record.ips[0]
        status.additional_ips.extend(pb.PodIP(ip=ip) for ip in record.ips[1:])
    return status


def _image(record: records.Container) -> pb.ImageSpec:
    image = pb.ImageSpec()
    image.CopyFrom(record.config.image)
    if image.user_specified_image:
        image.image = image.user_specified_image
    return image


def _signal(name: str) -> str:
    """Return a signal as CRI names it; one that has no name there is shown as the runtime's default."""
    return name if name in pb.Signal.keys() else "RUNTIME_DEFAULT"  # noqa: SIM118


def _mount(mount: pb.Mount, image_mounts: Mapping[str, str]) -> pb.Mount:
    shown = pb.Mount()
    shown.CopyFrom(mount)
    if image_id := image_mounts.get(mount.container_path):
        shown.image.image_ref = image_id
    return shown
