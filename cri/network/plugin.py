"""Running one CNI plugin: ours in this thread, a foreign one as a process.

Foreign plugins start by posix_spawn, which is vfork inside: this process has threads and must not fork.
Source: CNI SPEC.md 1.1.0, section 2.
"""

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cni import skel

# A plugin that takes longer is hung; kubelet's own limit for a sandbox is four minutes.
TIMEOUT_S = 120.0
_OUTPUT_BYTES_MAX = 1 << 20


class PluginError(Exception):
    """A plugin failed, by its own account or by how it ended."""


def run(
    plugin: str, env: Mapping[str, str], stdin: bytes, bin_dirs: Sequence[Path]
) -> Mapping[str, Any] | None:
    """Run one verb; return the result object of ADD and VERSION, else None. Raises PluginError.

    Blocks. One of our own may enter the sandbox's network namespace with the calling thread and returns.
    """
    if plugin in skel.PLUGINS:
        try:
            return skel.invoke(plugin, env, stdin)
        except skel.CniError as err:
            raise PluginError(f"cannot run {env['CNI_COMMAND']} of network plugin {plugin}: {err}") from err
    executable = next((d / plugin for d in bin_dirs if (d / plugin).is_file()), None)
    if executable is None:
        raise PluginError(f"cannot run network plugin {plugin}: not found in {list(map(str, bin_dirs))}")
    status, output, errors = _execute(executable, env, stdin)
    return _result(f"{env['CNI_COMMAND']} of network plugin {plugin}", status, output, errors)


def _result(what: str, status: int, output: bytes, errors: bytes) -> Mapping[str, Any] | None:
    """Read a process's answer. Pure."""
    try:
        answer = json.loads(output) if output.strip() else None
    except ValueError as err:
        raise PluginError(f"cannot run {what}: output is not JSON ({output[:200]!r})") from err
    if status == 0:
        return answer if isinstance(answer, Mapping) else None
    if isinstance(answer, Mapping) and "msg" in answer:
        detail = f": {answer['details']}" if answer.get("details") else ""
        raise PluginError(f"cannot run {what}: {answer['msg']}{detail}")
    raise PluginError(f"cannot run {what}: exit code {status}: {errors[-400:].decode(errors='replace')}")


def _execute(executable: Path, env: Mapping[str, str], stdin: bytes) -> tuple[int, bytes, bytes]:
    """Spawn, feed, collect and reap. Returns exit code, stdout, stderr."""
    with contextlib.ExitStack() as stack:
        child_in, feed = _pipe(stack)
        out, child_out = _pipe(stack)
        err, child_err = _pipe(stack)
        actions = [(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate((child_in, child_out, child_err))]
        environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), **env}
        pid = os.posix_spawn(executable, [str(executable)], environment, file_actions=actions)
        for fd in (child_in, child_out, child_err):
            os.close(fd)
        try:
            output, errors = _communicate(feed, out, err, stdin)
        except PluginError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), output, errors


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Make a pipe whose ends are closed with the stack, unless closed before."""
    ends = os.pipe2(os.O_CLOEXEC)
    for fd in ends:
        stack.callback(_close, fd, os.fstat(fd).st_ino)
    return ends


def _close(fd: int, inode: int) -> None:
    with contextlib.suppress(OSError):
        if os.fstat(fd).st_ino == inode:  # the number may be another file's by now
            os.close(fd)


def _communicate(feed: int, out: int, err: int, stdin: bytes) -> tuple[bytes, bytes]:
    """Write stdin while reading both outputs until end of file. Raises PluginError past limit or time."""
    poller = select.poll()
    collected = {out: bytearray(), err: bytearray()}
    open_fds = {out, err}
    for fd in open_fds:
        poller.register(fd, select.POLLIN)
    os.set_blocking(feed, False)
    poller.register(feed, select.POLLOUT)
    rest = memoryview(stdin)
    deadline = time.monotonic() + TIMEOUT_S
    while open_fds:
        left = deadline - time.monotonic()
        if left <= 0:
            raise PluginError("cannot run network plugin: timed out")
        for fd, _ in poller.poll(left * 1000):
            if fd == feed:
                rest = _feed(feed, rest)
                if not rest:
                    poller.unregister(feed)
                    os.close(feed)
            elif data := os.read(fd, 65536):
                collected[fd] += data
                if len(collected[fd]) > _OUTPUT_BYTES_MAX:
                    raise PluginError("cannot run network plugin: too much output")
            else:
                poller.unregister(fd)
                open_fds.discard(fd)
    return bytes(collected[out]), bytes(collected[err])


def _feed(fd: int, rest: memoryview) -> memoryview:
    """Write what the pipe takes; a reader that went away wants no more."""
    try:
        return rest[os.write(fd, rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]
