"""Termination messages: what a container left in its file, or the end of its log. Blocking.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go getTerminationMessage.
"""

import dataclasses
import os
from pathlib import Path

from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, State

MAX_BYTES = 4096
MAX_LOG_BYTES = 2048
MAX_LOG_LINES = 80


def with_messages(view: PodView, known: dict[str, str]) -> PodView:
    """Fill in the message of each dead container. known: messages read before, by container id."""
    return dataclasses.replace(view, containers=tuple(_with_message(c, known) for c in view.containers))


def _with_message(container: ContainerView, known: dict[str, str]) -> ContainerView:
    if container.state is not State.EXITED:
        return container
    if container.id not in known:
        known[container.id] = read(container)
    message = known[container.id]
    return dataclasses.replace(container, message=message) if message else container


def read(container: ContainerView) -> str:
    """Read one container's message; the runtime's own when it left none."""
    text = _file(container.annotations.get(labels.TERMINATION_FILE, ""))
    policy = container.annotations.get(labels.TERMINATION_POLICY)
    if not text and policy == "FallbackToLogsOnError" and container.exit_code != 0:
        text = _log_tail(container.log_path)
    return text or container.message


def _file(path: str) -> str:
    if not path:
        return ""
    try:
        # The container could write to it: nothing but a plain file is read, and only its beginning.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, MAX_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _log_tail(path: str) -> str:
    """Return the last lines of a CRI log without their stamps: "<time> <stream> <P|F> <text>"."""
    try:
        with Path(path).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 16 * MAX_LOG_BYTES))
            lines = log.read().splitlines()[-MAX_LOG_LINES:]
    except OSError:
        return ""
    text = b""
    for line in lines:
        parts = line.split(b" ", 3)
        if len(parts) == 4:
            text += parts[3] + (b"" if parts[2].startswith(b"P") else b"\n")
    return text[-MAX_LOG_BYTES:].decode("utf-8", "replace")
