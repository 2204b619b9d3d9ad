"""A container runtime in memory, for tests: it keeps state as CRI would and runs nothing."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from cri.api import runtime_pb2 as pb
from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, SandboxView, State
from nanokube.kubelet.runtime import FaultKind, RuntimeFault


class FakeRuntime:
    """Implements nanokube.kubelet.runtime.Runtime. calls: what was asked, in order ("start app")."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.calls: list[str] = []
        self.images_present: dict[str, pb.Image] = {}
        self.images_remote: dict[str, pb.Image] = {}
        self.configs: dict[str, pb.ContainerConfig] = {}
        self.sandbox_configs: dict[str, pb.PodSandboxConfig] = {}
        self.failures: dict[str, RuntimeFault] = {}
        self.exec_codes: dict[str, int] = {}
        self.updates: list[tuple[str, pb.LinuxContainerResources]] = []
        self.memory_used: dict[str, int] = {}
        self.has_user_namespaces = True
        self.start_delay_s = 0.0
        self.stop_delay_s = 0.0
        self._now = now
        self._numbers = itertools.count(1)
        self._sandboxes: dict[str, tuple[pb.PodSandboxMetadata, SandboxView]] = {}
        self._containers: dict[str, ContainerView] = {}
        self._events: list[asyncio.Queue[str]] = []

    # What tests do to it.

    def add_image(self, name: str, *, remote: bool = False, uid: int = 0, username: str = "") -> None:
        """Make an image present, or pullable."""
        image = pb.Image(id=f"sha256:{name}", repo_tags=[name], size=1000, username=username)
        if not username:
            image.uid.value = uid
        (self.images_remote if remote else self.images_present)[name] = image

    def exit(self, name: str, code: int = 0, *, message: str = "") -> None:
        """End the running container of that name."""
        view = next(c for c in self._containers.values() if c.name == name and c.is_running)
        self._set(view, state=State.EXITED, exit_code=code, message=message, finished_at=self._ns())

    def lose_sandboxes(self) -> None:
        """End every sandbox, as a crash of the node would."""
        for box, (meta, view) in self._sandboxes.items():
            self._sandboxes[box] = meta, SandboxView(view.id, view.attempt, False, view.created_at)
            self._tell(meta.uid)

    def running(self) -> list[str]:
        """Name the running containers."""
        return [c.name for c in self._containers.values() if c.is_running]

    def _ns(self) -> int:
        return int(self._now() * 1e9) + next(self._numbers)

    def _set(self, view: ContainerView, **changes: object) -> None:
        self._containers[view.id] = dataclasses.replace(view, **changes)  # type: ignore[arg-type]
        self._tell(view.labels[labels.POD_UID])

    def _tell(self, uid: str) -> None:
        for queue in self._events:
            queue.put_nowait(uid)

    async def _begin(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        fault = self.failures.pop(call, None) or self.failures.get(call.split(" ")[0])
        if fault is not None:
            raise fault

    # What the kubelet asks.

    async def version(self) -> pb.VersionResponse:
        return pb.VersionResponse(runtime_name="nanokube", runtime_version="0.1.0")

    async def status(self) -> pb.StatusResponse:
        conditions = [pb.RuntimeCondition(type=t, status=True) for t in ("RuntimeReady", "NetworkReady")]
        features = pb.RuntimeHandlerFeatures(user_namespaces=self.has_user_namespaces)
        return pb.StatusResponse(
            status=pb.RuntimeStatus(conditions=conditions),
            runtime_handlers=[pb.RuntimeHandler(name="", features=features)],
        )

    async def set_pod_cidr(self, cidr: str) -> None:
        await self._begin(f"cidr {cidr}")

    async def pods(self) -> dict[str, PodView]:
        uids = {meta.uid for meta, _ in self._sandboxes.values()}
        return {uid: await self.pod(uid) for uid in uids}

    async def pod(self, uid: str) -> PodView:
        boxes = [(meta, view) for meta, view in self._sandboxes.values() if meta.uid == uid]
        containers = [c for c in self._containers.values() if c.labels[labels.POD_UID] == uid]
        meta = boxes[0][0] if boxes else pb.PodSandboxMetadata()
        await asyncio.sleep(0)
        return PodView(
            uid,
            meta.name,
            meta.namespace,
            tuple(sorted((view for _, view in boxes), key=lambda b: -b.created_at)),
            tuple(sorted(containers, key=lambda c: -c.created_at)),
        )

    async def run_sandbox(self, config: pb.PodSandboxConfig, handler: str = "") -> str:
        await self._begin(f"sandbox {config.metadata.name}")
        number = next(self._numbers)
        is_host = config.linux.security_context.namespace_options.network == pb.NODE
        ips = () if is_host else (f"10.244.0.{number}",)
        view = SandboxView(
            f"box{number}", config.metadata.attempt, True, self._ns(), is_host_network=is_host, ips=ips
        )
        self._sandboxes[view.id] = config.metadata, view
        self.sandbox_configs[view.id] = config
        self._tell(config.metadata.uid)
        return view.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._begin(f"stop-sandbox {sandbox_id}")
        if sandbox_id in self._sandboxes:
            meta, view = self._sandboxes[sandbox_id]
            self._sandboxes[sandbox_id] = meta, SandboxView(view.id, view.attempt, False, view.created_at)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._begin(f"remove-sandbox {sandbox_id}")
        self._sandboxes.pop(sandbox_id, None)

    async def create_container(
        self, sandbox_id: str, config: pb.ContainerConfig, sandbox: pb.PodSandboxConfig
    ) -> str:
        name = config.metadata.name
        await self._begin(f"create {name}")
        container_id = f"{name}-{next(self._numbers)}"
        self.configs[container_id] = config
        self._containers[container_id] = ContainerView(
            id=container_id,
            name=name,
            sandbox_id=sandbox_id,
            state=State.CREATED,
            created_at=self._ns(),
            image=config.image.user_specified_image,
            image_ref=config.image.image,
            log_path=f"{sandbox.log_directory}/{config.log_path}",
            labels=dict(config.labels),
            annotations=dict(config.annotations),
        )
        return container_id

    async def start_container(self, container_id: str) -> None:
        view = self._containers[container_id]
        try:
            await self._begin(f"start {view.name}")
        except RuntimeFault:
            self._set(view, state=State.EXITED, exit_code=128, finished_at=self._ns())
            raise
        await asyncio.sleep(self.start_delay_s)
        self._set(view, state=State.RUNNING, started_at=self._ns())

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        view = self._containers[container_id]
        await self._begin(f"stop {view.name} {timeout_s:g}")
        await asyncio.sleep(min(self.stop_delay_s, timeout_s))
        view = self._containers[container_id]
        if view.is_running:
            self._set(view, state=State.EXITED, exit_code=137, finished_at=self._ns())

    async def remove_container(self, container_id: str) -> None:
        await self._begin(f"remove {container_id}")
        self._containers.pop(container_id, None)

    async def update_resources(self, container_id: str, resources: pb.LinuxContainerResources) -> None:
        await self._begin(f"update {self._containers[container_id].name}")
        self.updates.append((self._containers[container_id].name, resources))

    async def update_sandbox(self, sandbox_id: str, resources: pb.LinuxContainerResources) -> None:
        await self._begin(f"update-sandbox {sandbox_id}")

    async def reopen_log(self, container_id: str) -> None:
        await self._begin(f"reopen {container_id}")

    async def exec_sync(
        self, container_id: str, command: list[str], timeout_s: float = 0
    ) -> pb.ExecSyncResponse:
        text = " ".join(command)
        await self._begin(f"exec {self._containers[container_id].name} {text}")
        return pb.ExecSyncResponse(exit_code=self.exec_codes.get(text, 0), stdout=b"output")

    async def exec_url(self, request: pb.ExecRequest) -> str:
        return "http://fake/exec"

    async def attach_url(self, request: pb.AttachRequest) -> str:
        return "http://fake/attach"

    async def port_forward_url(self, request: pb.PortForwardRequest) -> str:
        return "http://fake/portforward"

    async def image_status(self, reference: str) -> pb.Image | None:
        return self.images_present.get(reference)

    async def pull_image(
        self, reference: str, auth: pb.AuthConfig | None, sandbox: pb.PodSandboxConfig | None
    ) -> str:
        user = f" as {auth.username}" if auth is not None else ""
        await self._begin(f"pull {reference}{user}")
        if reference not in self.images_remote:
            raise RuntimeFault(FaultKind.NOT_FOUND, f"{reference}: not found")
        self.images_present[reference] = self.images_remote[reference]
        return self.images_present[reference].id

    async def images(self) -> list[pb.Image]:
        return list(self.images_present.values())

    async def remove_image(self, reference: str) -> None:
        self.images_present.pop(reference, None)

    async def image_fs_info(self) -> pb.ImageFsInfoResponse:
        return pb.ImageFsInfoResponse()

    async def pod_stats(self) -> list[pb.PodSandboxStats]:
        return []

    async def container_stats(self) -> list[pb.ContainerStats]:
        return [
            pb.ContainerStats(
                attributes=pb.ContainerAttributes(id=each.id),
                memory=pb.MemoryUsage(usage_bytes=pb.UInt64Value(value=self.memory_used[each.name])),
            )
            for each in self._containers.values()
            if each.is_running and each.name in self.memory_used
        ]

    async def events(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._events.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._events.remove(queue)


class FakeMounter:
    """Mounts nothing: a tmpfs is the directory itself, a sub-path a symbolic link, a bind a note."""

    def __init__(self) -> None:
        self.mounted: list[str] = []
        self.bound: list[tuple[str, str, int]] = []

    def tmpfs(self, path: Path, options: str) -> None:
        self.mounted.append(str(path))

    def bind(self, source: Path, place: Path, flags: int) -> None:
        self.mounted.append(str(place))
        self.bound.append((str(source), str(place), flags))

    def device(self, source: Path, place: Path, fstype: str, flags: int) -> None:
        self.bind(source, place, flags)

    def copy(self, source: Path, place: Path) -> None:
        origin, _, flags = next(each for each in self.bound if each[1] == str(source))
        self.bind(Path(origin), place, flags)

    def bind_sub_path(self, volume: Path, sub_path: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(volume / sub_path)

    def mounts_below(self, path: Path) -> list[Path]:
        places = (Path(place) for _source, place, _flags in self.bound)
        return [place for place in places if place.is_relative_to(path)]

    def unmount(self, path: Path) -> None:
        self.mounted.remove(str(path))
        self.bound = [each for each in self.bound if each[1] != str(path)]
