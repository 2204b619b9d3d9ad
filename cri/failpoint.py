"""Named places where a test may kill the runtime; nothing at all unless the environment names a directory.

A test arms a point by a file of its name in the directory $NANOKUBE_CRI_FAILPOINTS; the file holds the ids
of the processes to kill. Who reaches the point takes the file away first, so that it acts once, then kills
those processes (SIGKILL), itself last. Reached points leave an empty file `reached/<name>`.
Imported by the supervisor, so it imports next to nothing.
"""

from __future__ import annotations

import os
import signal

_DIRECTORY = os.environ.get("NANOKUBE_CRI_FAILPOINTS", "")

# Every point in the code, in the order of a Pod's life. A test compares this list with the calls of hit().
POINTS = (
    # RunPodSandbox
    "sandbox.intended",
    "record.half_written",
    "sandbox.reserved",
    "namespaces.unshared",
    "namespaces.pinned",
    "sandbox.namespaced",
    "network.plugin_added",
    "sandbox.attached",
    "sandbox.attachment_noted",
    "sandbox.files_written",
    "sandbox.committed",
    # CreateContainer
    "container.reserved",
    "container.layers_held",
    "container.layers_ready",
    "container.holder_ready",
    "container.cloned",
    "container.committed",
    "supervisor.half_recorded",
    "supervisor.recorded",
    "supervisor.grouped",
    "supervisor.cloned",
    "supervisor.clone_noted",
    # StartContainer
    "start.checked",
    "start.done",
    "start.noted",
    "supervisor.start_noted",
    "supervisor.go_sent",
    "supervisor.run_noted",
    # StopContainer
    "stop.begun",
    "stop.done",
    "stop.noted",
    "supervisor.kill_sent",
    "supervisor.exit_seen",
    "supervisor.exit_noted",
    # RemoveContainer
    "remove.stopped",
    "teardown.processes_gone",
    "snapshot.buried",
    "teardown.layer_gone",
    "record.forgotten",
    "record.half_deleted",
    "remove.done",
    "supervisor.remove_begun",
    "supervisor.removed",
    "supervisor.group_gone",
    # StopPodSandbox
    "stop_sandbox.begun",
    "stop_sandbox.containers_ended",
    "stop_sandbox.holder_gone",
    "teardown.detached",
    "teardown.unpinned",
    "stop_sandbox.network_down",
    "stop_sandbox.noted",
    # RemovePodSandbox
    "remove_sandbox.stopped",
    "remove_sandbox.containers_gone",
    "release.unmounted",
    "release.group_gone",
    "remove_sandbox.done",
    # PullImage, Import
    "image.layers_ready",
    "image.documents_ready",
    "image.committed",
)


def is_enabled() -> bool:
    """Tell whether a test drives this process."""
    return bool(_DIRECTORY)


def hit(name: str) -> None:
    """Die here if a test wants it."""
    if _DIRECTORY:
        _reach(name)


def _reach(name: str) -> None:
    try:
        os.close(os.open(f"{_DIRECTORY}/reached/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with open(f"{_DIRECTORY}/{name}", encoding="ascii") as file:
            victims = [int(word) for word in file.read().split()]
        os.unlink(f"{_DIRECTORY}/{name}")
    except OSError:  # not armed, or taken by another thread
        return
    victims.sort(key=lambda pid: pid == os.getpid())
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
