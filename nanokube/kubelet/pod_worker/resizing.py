"""One Pod's resize: remembers what was allocated and actuated, actuates, and tells by conditions.

    (spec changes) --> PodResizePending --(grant)--> PodResizeInProgress --(all took it)--> (none)
                     Deferred | Infeasible               Error, tried again

The checkpoint pods/<uid>/resources is written only from a grant on: until then annotations tell it all.
Source: pkg/kubelet/allocation/allocation_manager.go, kuberuntime_manager.go doPodResizeAction.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from nanokube.api import timestamps
from nanokube.client.events import reference_to
from nanokube.kubelet import pod_cgroups
from nanokube.kubelet.containers import build, resources
from nanokube.kubelet.pod_worker import resize
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.podview import PodView
from nanokube.kubelet.runtime import FaultKind, RuntimeFault

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
_FILE = "resources"


class Resizing:
    """State of one Pod. view: what the runtime has of it already, if this kubelet did not see it begin."""

    def __init__(self, env: Env, pod: Object, view: PodView | None) -> None:
        self._env = env
        self._uid: str = pod["metadata"]["uid"]
        self._conditions = {
            condition["type"]: dict(condition)
            for condition in (pod.get("status") or {}).get("conditions") or ()
            if condition["type"] in (PENDING, IN_PROGRESS)
        }
        self._allocated = resize.adopted(pod, view)
        self._updated: dict[str, Object] = {}
        if view is not None:
            self._read()

    # What is allocated.

    def granted(self, pod: Object) -> Object:
        """Return the Pod as it may run: with what it was allocated."""
        if PENDING in self._conditions and not self.wants(pod):
            del self._conditions[PENDING]  # taken back
        return resize.granted(pod, self._allocated)

    def wants(self, pod: Object) -> bool:
        """Tell whether the Pod asks for something else than it was allocated."""
        return resize.differs(pod, self._allocated)

    def grant(self, pod: Object) -> None:
        """Allocate what the Pod asks for."""
        self._allocated = {**self._allocated, **resize.allocation_of(pod)}
        self._write()
        self._conditions.clear()
        self._set(IN_PROGRESS, pod["metadata"].get("generation") or 0, "", "")
        self._tell(pod, "Normal", "ResizeStarted", "Pod resize started")

    def refuse(self, pod: Object, reason: str, message: str) -> None:
        """Say why the Pod does not get what it asks for. reason: Deferred or Infeasible."""
        generation = pod["metadata"].get("generation") or 0
        before = self._conditions.get(PENDING) or {}
        self._set(PENDING, generation, reason, message)
        if (before.get("reason"), before.get("observedGeneration")) != (reason, generation):
            self._tell(pod, "Warning", f"Resize{reason}", f"Pod resize {reason}", error=message)

    def pending_since(self) -> str:
        """Return when the Pod began to wait; "" if it does not wait."""
        return str((self._conditions.get(PENDING) or {}).get("lastTransitionTime") or "")

    # What is told.

    def conditions(self) -> tuple[Object, ...]:
        """Return the conditions that the Pod shows now."""
        return tuple(dict(condition) for condition in self._conditions.values())

    def end(self) -> None:
        """Nothing more will be resized: the Pod is on its way out."""
        self._conditions.clear()

    def is_due(self, pod: Object, view: PodView) -> bool:
        """Tell whether something is not as allocated; when all is, the resize is over."""
        if self.updates(pod, view) or self.restarts(pod, view):
            return True
        if IN_PROGRESS in self._conditions:
            generation = self._conditions.pop(IN_PROGRESS)["observedGeneration"]
            self._tell(pod, "Normal", "ResizeCompleted", "Pod resize completed", generation=generation)
        return False

    def _set(self, type_: str, generation: int, reason: str, message: str) -> None:
        now = timestamps.format_time(self._env.clock.time())
        before = self._conditions.get(type_) or {}
        same = before.get("reason", "") == reason and before
        self._conditions[type_] = {
            "type": type_,
            "status": "True",
            **({"reason": reason} if reason else {}),
            **({"message": message} if message else {}),
            "observedGeneration": generation,
            "lastTransitionTime": before["lastTransitionTime"] if same else now,
        }

    def _tell(
        self,
        pod: Object,
        type_: Literal["Normal", "Warning"],
        reason: str,
        text: str,
        *,
        generation: int = 0,
        error: str = "",
    ) -> None:
        about = resize.summary(pod, generation or pod["metadata"].get("generation") or 0, error)
        self._env.recorder.event(reference_to(pod), type_, reason, f"{text}: {about}")

    # Acting.

    def updates(self, pod: Object, view: PodView) -> tuple[resize.Update, ...]:
        """List what changes while containers run. pod: as granted."""
        return resize.updates(pod, view, self._updated)

    def restarts(self, pod: Object, view: PodView) -> frozenset[str]:
        """Name the containers that are to be restarted for their new size."""
        return resize.needs_restart(pod, view, self._updated)

    async def actuate(self, pod: Object, view: PodView, sandbox_id: str) -> None:
        """Give containers and the Pod's cgroup what was allocated. Raises RuntimeFault, OSError."""
        try:
            await self._check_memory(pod, view)
            for kind in resize.KINDS:
                await self._actuate(kind, pod, view, sandbox_id)
        except (RuntimeFault, OSError) as error:
            progress = self._conditions.get(IN_PROGRESS) or {}
            generation = progress.get("observedGeneration") or pod["metadata"].get("generation") or 0
            if progress.get("message") != str(error):
                self._tell(pod, "Warning", "ResizeError", "Pod resize error", error=str(error))
            self._set(IN_PROGRESS, generation, "Error", str(error))
            raise

    async def _actuate(self, kind: resize.Kind, pod: Object, view: PodView, sandbox_id: str) -> None:
        """Change one resource: what grows, the Pod first; what shrinks, the containers first."""
        todo = [update for update in self.updates(pod, view) if update.kind == kind]
        wanted = pod_cgroups.only(pod_cgroups.wanted(resources.pod_resources(pod)), kind)
        points, group = self._env.cgroups, build.cgroup_parent(pod, self._env.config.cgroup_root)
        have = await asyncio.to_thread(pod_cgroups.read, points, group)
        before, after = pod_cgroups.steps(have, wanted)
        if before or after:
            await self._note(sandbox_id, pod)
        await asyncio.to_thread(pod_cgroups.write, points, group, before)
        for update in todo:
            await self._update(update, pod)
        await asyncio.to_thread(pod_cgroups.write, points, group, after)

    async def _update(self, update: resize.Update, pod: Object) -> None:
        container = {"name": update.name, "resources": update.mixed}
        built = resources.container_resources(
            pod, container, self._env.node_memory, is_unified=self._env.is_unified
        )
        await self._env.runtime.update_resources(update.container_id, built)
        self._updated[update.container_id] = update.mixed
        self._write()
        log.info("container resized: uid=%s container=%s kind=%s", self._uid, update.name, update.kind)

    async def _note(self, sandbox_id: str, pod: Object) -> None:
        """Tell the runtime of the Pod's new size, if it cares."""
        try:
            await self._env.runtime.update_sandbox(sandbox_id, resources.pod_resources(pod))
        except RuntimeFault as fault:
            if fault.kind is not FaultKind.UNIMPLEMENTED:
                raise

    async def _check_memory(self, pod: Object, view: PodView) -> None:
        """Refuse limits below what is used: the kernel would kill. Raises OSError."""
        problems = []
        group = build.cgroup_parent(pod, self._env.config.cgroup_root)
        wanted = resources.pod_resources(pod).memory_limit_in_bytes
        used = await asyncio.to_thread(pod_cgroups.memory_used, self._env.cgroups, group)
        if wanted and used >= wanted and any(u.kind == "memory" for u in self.updates(pod, view)):
            problems.append(f"attempting to set pod memory limit ({wanted}) below current usage ({used})")
        shrinking = {u.container_id: u for u in self.updates(pod, view) if _lowers_memory(u)}
        for each in await self._env.runtime.container_stats() if shrinking else ():
            update = shrinking.get(each.attributes.id)
            if update is None:
                continue
            limit, usage = resize.amounts(update.wanted, "memory")[1], each.memory.usage_bytes.value
            if usage >= limit:
                problems.append(
                    f'attempting to set container "{update.name}" memory limit ({limit}) '
                    f"below current usage ({usage})"
                )
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise OSError(f"cannot decrease memory limits: {text}")

    def limit(self, pod: Object) -> None:
        """Bound a new Pod as a whole. Blocking."""
        group = build.cgroup_parent(pod, self._env.config.cgroup_root)
        try:
            pod_cgroups.make(self._env.cgroups, group)
            pod_cgroups.write(self._env.cgroups, group, pod_cgroups.wanted(resources.pod_resources(pod)))
        except OSError as error:
            log.warning("pod not limited: uid=%s error=%s", self._uid, error)

    # The checkpoint.

    def _path(self) -> Path:
        return self._env.config.pod_directory(self._uid) / _FILE

    def _read(self) -> None:
        try:
            kept = json.loads(self._path().read_text())
            self._allocated.update(kept["allocated"])
            self._updated.update(kept["updated"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("allocation not read: uid=%s error=%s", self._uid, error)

    def _write(self) -> None:
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"allocated": self._allocated, "updated": self._updated}))
        os.replace(new, path)


def _lowers_memory(update: resize.Update) -> bool:
    had, wants = (resize.amounts(each, "memory")[1] for each in (update.now, update.wanted))
    return update.kind == "memory" and bool(wants) and (not had or wants < had)


def rank(pod: Object, granted: Object, since: str) -> tuple[bool, int, bool, str]:
    """Order waiting resizes: no more than before, then priority, then class, then the longest wait."""
    asked, has = resources.pod_requests(pod), resources.pod_requests(granted)
    more = any(asked.get(name, 0) > has.get(name, 0) for name in resize.KINDS)
    priority = pod["spec"].get("priority") or 0
    return more, -priority, resources.qos_class(pod) != "Guaranteed", since or "~"
