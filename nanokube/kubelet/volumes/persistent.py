"""PersistentVolumes of this host: a hostPath as it is, a local one in the Pod's own place. Blocking.

Source: pkg/volume/util/operationexecutor/operation_generator.go (steps and texts).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanokube.api import objects, volume_binding
from nanokube.kubelet.volumes import host_path, local
from nanokube.kubelet.volumes.errors import DeviceFault, VolumeFault, WholeFault
from nanokube.kubelet.volumes.mounter import Mounter
from nanokube.kubelet.volumes.ready import Ready

Object = Mapping[str, Any]


def set_up(
    volume: Object,
    pod: Object,
    pod_directory: Path,
    mounter: Mounter,
    node_labels: Mapping[str, str],
    *,
    read_only: bool,
) -> Ready:
    """Make a PersistentVolume ready for a Pod, in the way of its mode. Raises WholeFault."""
    name = objects.name(volume)
    is_block = objects.spec(volume).get("volumeMode") == "Block"
    step, fault_of = ("MapVolume", DeviceFault) if is_block else ("MountVolume", WholeFault)
    if not volume_binding.is_reachable(volume, node_labels):
        cause = "no matching NodeSelectorTerms"
        raise WholeFault(f'{step}.NodeAffinity check failed for volume "{name}" : {cause}')
    try:
        if is_block:
            return _device(volume, read_only)
        return _filesystem(volume, pod, pod_directory, mounter, read_only)
    except (VolumeFault, OSError) as fault:
        raise fault_of(f'{step}.SetUp failed for volume "{name}" : {fault}') from fault


def _device(volume: Object, read_only: bool) -> Ready:
    if "local" not in objects.spec(volume):
        raise VolumeFault("no volume plugin matched")
    return Ready(local.device(volume), is_device=True, is_read_only=read_only)


def _filesystem(volume: Object, pod: Object, pod_directory: Path, mounter: Mounter, read_only: bool) -> Ready:
    spec, context = objects.spec(volume), objects.spec(pod).get("securityContext") or {}
    if "hostPath" in spec:
        if spec.get("mountOptions"):
            raise VolumeFault("Mount options are not supported by the provided plugin")
        return Ready(host_path.set_up(spec), is_read_only=read_only)
    if "local" not in spec:
        raise VolumeFault("no volume plugin matched")
    place = pod_directory / "volumes" / local.DIRECTORY / objects.name(volume)
    local.set_up(
        volume,
        place,
        mounter,
        group=context.get("fsGroup"),
        only_on_mismatch=context.get("fsGroupChangePolicy") == "OnRootMismatch",
        read_only=read_only,
    )
    return Ready(place, is_own=True, is_read_only=read_only)
