"""A node's volumes: made ready before containers start, kept up to date, removed after the Pod.

    pods/<uid>/volumes/kubernetes.io~<type>/<volume>       the volume; a PersistentVolume goes by its own name
    pods/<uid>/volume-subpaths/<volume>/<container>/<n>    one subPath, bound
    pods/<uid>/sole-volumes/<volume>                       a PersistentVolume that no other Pod may have
Source: pkg/kubelet/volumemanager, pkg/volume/*.
"""

import asyncio
import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers import expansion, resources
from nanokube.kubelet.containers.build import BoundMount
from nanokube.kubelet.references import References
from nanokube.kubelet.volumes import (
    atomic_writer,
    claim,
    config_map,
    directories,
    downward_api,
    empty_dir,
    host_path,
    persistent,
    projected,
    secret,
    sole,
    subpath,
)
from nanokube.kubelet.volumes.atomic_writer import File
from nanokube.kubelet.volumes.errors import VolumeFault, WholeFault
from nanokube.kubelet.volumes.mounter import Mounter
from nanokube.kubelet.volumes.ready import Ready

Object = Mapping[str, Any]

WRITTEN = ("configMap", "secret", "downwardAPI", "projected")  # kept up to date while the Pod lives
_ON_TMPFS = ("secret", "downwardAPI", "projected")


class Volumes:
    """Makes and removes volumes. Not for one Pod from two tasks at a time."""

    def __init__(
        self,
        config: KubeletConfig,
        references: References,
        mounter: Mounter,
        allocatable: Mapping[str, str],
        node_labels: Callable[[], Mapping[str, str]],
    ) -> None:
        self._config = config
        self._references = references
        self._mounter = mounter
        self._allocatable = allocatable
        self._node_labels = node_labels
        self.directories = directories.Directories(config.volumes, config.root / "pods", mounter)

    async def set_up(self, pod: Object, pod_ips: Sequence[str] = ()) -> dict[str, Ready]:
        """Make every volume ready. Raises VolumeFault, ApiError, OSError."""
        ready = {}
        for volume in pod["spec"].get("volumes") or ():
            try:
                if claim.names_claim(volume):
                    ready[volume["name"]] = await self._set_up_claim(pod, volume)
                else:
                    ready[volume["name"]] = await self._set_up_one(pod, volume, pod_ips)
            except WholeFault:
                raise
            except (VolumeFault, OSError) as fault:
                message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {fault}'
                raise WholeFault(message) from fault
        return ready

    async def refresh(self, pod: Object, pod_ips: Sequence[str] = ()) -> None:
        """Write what changed into the volumes that follow the API. Raises as set_up."""
        for volume in pod["spec"].get("volumes") or ():
            if kind_of(volume) in WRITTEN:
                await self._set_up_one(pod, volume, pod_ips)

    async def _set_up_one(self, pod: Object, volume: Object, pod_ips: Sequence[str]) -> Ready:
        kind = kind_of(volume)
        path = self._path(pod, volume, kind)
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        if kind in WRITTEN:
            files = await self._files(pod, volume, kind, pod_ips)
            await asyncio.to_thread(self._write, path, files, kind, group)
            return Ready(path, is_own=True)
        if kind == "emptyDir":
            await asyncio.to_thread(self._empty_dir, pod, volume, path, group)
            return Ready(path, is_own=True)
        if kind == "hostPath":
            return Ready(await asyncio.to_thread(host_path.set_up, volume))
        if kind == "image":
            source = volume["image"]
            return Ready(image=source["reference"], pull_policy=source.get("pullPolicy") or "")
        raise VolumeFault(f"volume type {kind} is not supported")

    async def _set_up_claim(self, pod: Object, volume: Object) -> Ready:
        found = await claim.resolve(pod, volume, self._references)
        directory = self._config.pod_directory(pod["metadata"]["uid"])
        labels, is_written = self._node_labels(), claim.is_written(pod, volume)
        is_new = sole.take(found, directory)
        try:
            ready = await asyncio.to_thread(
                persistent.set_up, found, pod, directory, self._mounter, labels, read_only=not is_written
            )
        except (VolumeFault, OSError):
            if is_new:
                sole.give_back(found, directory)
            raise
        return dataclasses.replace(ready, is_read_only=claim.is_read_only(volume))

    def _path(self, pod: Object, volume: Object, kind: str) -> Path:
        plugin = "empty-dir" if kind == "emptyDir" else _plugin(kind)
        directory = self._config.pod_directory(pod["metadata"]["uid"])
        return directory / "volumes" / f"kubernetes.io~{plugin}" / str(volume["name"])

    def _write(self, path: Path, files: Mapping[str, File], kind: str, group: int | None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if kind in _ON_TMPFS:
            self._mounter.tmpfs(path, "mode=0755")
        path.chmod(0o777 if group is None else 0o2775)
        atomic_writer.write(path, files, gid=group)

    def _empty_dir(self, pod: Object, volume: Object, path: Path, group: int | None) -> None:
        limits = resources.pod_resources(pod).memory_limit_in_bytes
        empty_dir.set_up(volume, path, limits, self._mounter, group)

    async def _files(self, pod: Object, volume: Object, kind: str, pod_ips: Sequence[str]) -> dict[str, File]:
        source = volume[kind]
        mode = source["defaultMode"] if source.get("defaultMode") is not None else 0o644
        namespace = pod["metadata"]["namespace"]
        if kind == "configMap":
            found = await self._references.config_map(namespace, source["name"])
            return config_map.files(source, found, mode)
        if kind == "secret":
            found = await self._references.secret(namespace, source["secretName"])
            return secret.files(source, found, mode)
        host_ips, allocatable = self._config.node_ips, self._allocatable
        if kind == "downwardAPI":
            items = source.get("items") or ()
            return downward_api.files(
                pod, items, mode, allocatable=allocatable, host_ips=host_ips, pod_ips=pod_ips
            )
        return await projected.files(
            pod,
            source,
            self._references,
            allocatable=allocatable,
            host_ips=host_ips,
            pod_ips=pod_ips,
        )

    async def mounts(
        self, pod: Object, container: Object, ready: Mapping[str, Ready], environment: Mapping[str, str]
    ) -> list[BoundMount]:
        """Bind a container's volumeMounts. Raises VolumeFault, OSError."""
        bound = []
        for index, mount in enumerate(container.get("volumeMounts") or ()):
            if mount["name"] not in ready:
                raise VolumeFault(f"volume {mount['name']!r} is not mounted")
            bound.append(await self._mount(pod, container, index, mount, ready[mount["name"]], environment))
        return bound

    async def _mount(
        self,
        pod: Object,
        container: Object,
        index: int,
        mount: Object,
        ready: Ready,
        environment: Mapping[str, str],
    ) -> BoundMount:
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            if lacking := expansion.missing(mount["subPathExpr"], environment):
                raise VolumeFault(f"missing value for {', '.join(lacking)!r} in subPathExpr")
            sub_path = expansion.expand(mount["subPathExpr"], environment)
        if sub_path:
            subpath.check(sub_path)
        target = mount["mountPath"]
        target = target if target.startswith("/") else f"/{target}"
        read_only = bool(mount.get("readOnly")) or ready.is_read_only
        if ready.image:
            return BoundMount(target, is_read_only=True, image=ready.image, image_sub_path=sub_path)
        path = ready.path
        if sub_path:
            directory = self._config.pod_directory(pod["metadata"]["uid"])
            place = directory / "volume-subpaths" / mount["name"] / container["name"] / str(index)
            try:
                await asyncio.to_thread(self._mounter.bind_sub_path, path, sub_path, place)
            except OSError as error:
                whose = f'volumeMount "{mount["name"]}" of container "{container["name"]}"'
                raise VolumeFault(f"failed to prepare subPath for {whose}: {error}") from error
            path = place
        return BoundMount(
            target,
            str(path),
            is_read_only=read_only,
            propagation=mount.get("mountPropagation") or "None",
            is_recursive_read_only=mount.get("recursiveReadOnly") in ("Enabled",) and read_only,
            is_own=ready.is_own,
        )

    def devices(self, container: Object, ready: Mapping[str, Ready]) -> list[pb.Device]:
        """List a container's block devices. Raises VolumeFault."""
        found = []
        for use in container.get("volumeDevices") or ():
            if use["name"] not in ready or not ready[use["name"]].is_device:
                raise VolumeFault(f"volume {use['name']!r} is not mapped")
            volume = ready[use["name"]]
            permissions = "r" if volume.is_read_only else "mrw"
            found.append(
                pb.Device(
                    host_path=str(volume.path), container_path=use["devicePath"], permissions=permissions
                )
            )
        return found

    async def tear_down(self, uid: str) -> None:
        """Unmount and remove everything of a Pod. Nothing happens for an unknown Pod."""
        await asyncio.to_thread(self._tear_down, uid)

    def _tear_down(self, uid: str) -> None:
        directory = self._config.pod_directory(uid)
        if not directory.is_dir() or directory.parent.name != "pods":
            return
        for point in self._mounter.mounts_below(directory):
            self._mounter.unmount(point)
        if left := self._mounter.mounts_below(directory):
            # Removing files now would remove them from whatever is still mounted.
            raise OSError(f"cannot remove volumes of {uid}: {left[0]} is still mounted")
        shutil.rmtree(directory)

    def known(self) -> set[str]:
        """Return the UIDs of Pods that have a directory."""
        directory = self._config.root / "pods"
        return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def kind_of(volume: Object) -> str:
    """Name a volume's type; one without any is an emptyDir."""
    return next((key for key in volume if key != "name" and volume[key] is not None), "emptyDir")


def _plugin(kind: str) -> str:
    return {"configMap": "configmap", "downwardAPI": "downward-api", "hostPath": "host-path"}.get(kind, kind)
