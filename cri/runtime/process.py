"""From root to the command: rlimits, identity, capabilities, seccomp, execve(2).

Runs in a container's first process and in exec sessions. No import may happen here: the root is the
container's.
Source: capabilities(7), runtime-spec config.md "Process".
"""

from __future__ import annotations

# not signal: its enumerations cost 0.2 ms in a fresh copy of this process
import _signal  # type: ignore[import-not-found]
import errno
import os
import resource
import stat
import sys

from cri.linux import prctl, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_SYS_ADMIN = 1 << 21
_RLIMITS = {name[7:]: value for name, value in vars(resource).items() if name.startswith("RLIMIT_")}
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def forget_modules() -> None:
    """Make every later import fail: it would load code from the container's tree."""
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()


def adjust(process: dict[str, Any]) -> None:
    """Set the OOM score and rlimits as far as allowed (while the host's /proc is still visible)."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % process["oom_score_adj"])
        finally:
            os.close(fd)
    except OSError:
        pass  # lowering it needs CAP_SYS_RESOURCE: keep the inherited one
    for limit in process["rlimits"]:
        number = _RLIMITS.get(limit["kind"])
        if number is None:
            continue
        soft, hard = limit["soft"], limit["hard"]
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):
            ceiling = resource.getrlimit(number)[1]
            resource.setrlimit(number, (min(soft, ceiling), ceiling))


def set_stdio(stdin: int, stdout: int, stderr: int) -> None:
    """Put three descriptors at 0, 1 and 2, inheritable; all others become close-on-exec."""
    moved = [os.dup(fd) if fd < 3 else fd for fd in (stdin, stdout, stderr)]
    moved = [_above(fd) for fd in moved]
    for number, fd in enumerate(moved):
        os.dup2(fd, number, inheritable=True)


def _above(fd: int) -> int:
    while fd < 3:
        fd = os.dup(fd)
    return fd


_SIGNALS = tuple(
    [int(getattr(_signal, f"SIG{name}")) for name in ("PIPE", "XFSZ", "INT", "TERM", "CHLD", "HUP")]
)


def reset_signals() -> None:
    """Undo what Python does to signals: ignored ones and the mask survive execve(2)."""
    for number in _SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def become(process: dict[str, Any]) -> None:
    """Take the user's identity and capability sets, except what the filter's load needs.

    Order: bounding set, groups, ids with permitted kept, then the sets. Every set is written.
    """
    wanted, user = process["capabilities"], process["user"]
    _, have, _ = prctl.get_capabilities()
    prctl.drop_bounding(wanted["bounding"])
    prctl.set_keep_capabilities(True)
    os.setgroups(user["groups"])
    os.setresgid(user["gid"], user["gid"], user["gid"])
    os.setresuid(user["uid"], user["uid"], user["uid"])
    prctl.set_keep_capabilities(False)
    permitted = wanted["permitted"] & have
    inheritable = wanted["inheritable"] & have
    if process["no_new_privs"]:
        prctl.set_no_new_privileges()
    keep = 0
    if process["seccomp"] and not process["no_new_privs"]:
        keep = _SYS_ADMIN & have  # loading a filter without no_new_privs needs it
    prctl.set_capabilities(wanted["effective"] & permitted | keep, permitted | keep, inheritable)
    prctl.set_ambient(wanted["ambient"] & permitted & inheritable)


def execute(process: dict[str, Any]) -> NoReturn:
    """Find the command, filter system calls, execute. Raises OSError; the message names the command."""
    path = find(process["argv"][0], process["env"])
    argv, environment = list(process["argv"]), _environment(process["env"])
    wanted = process["capabilities"]
    _, have, _ = prctl.get_capabilities()
    if process["seccomp"]:
        seccomp.load(process["seccomp"], process.get("seccomp_flags", 0))
        if have != wanted["permitted"] & have:
            permitted = wanted["permitted"] & have
            prctl.set_capabilities(wanted["effective"] & permitted, permitted, wanted["inheritable"] & have)
    try:
        os.execve(path, argv, environment)
    except OSError as error:
        raise OSError(error.errno, f'exec: "{process["argv"][0]}": {_reason(error)}') from error


def find(name: str, env: tuple[str, ...]) -> str:
    """Resolve a command as execvp(3) does, with the container's PATH. Raises OSError with a full message."""
    if not name:
        raise OSError(errno.ENOENT, "no command specified")
    if "/" in name:
        _check(name, name)
        return name
    path = _DEFAULT_PATH
    for entry in env:
        if entry.startswith("PATH="):
            path = entry[5:]
    denied = False
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            _check(candidate, name)
            return candidate
        except PermissionError:
            denied = True
        except OSError:
            continue
    if denied:
        raise OSError(errno.EACCES, f'exec: "{name}": permission denied')
    raise OSError(errno.ENOENT, f'exec: "{name}": executable file not found in $PATH')


def _check(path: str, name: str) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        raise OSError(error.errno, f'exec: "{name}": stat {path}: {_reason(error)}') from error
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, f'exec: "{name}": is a directory')
    if not os.access(path, os.X_OK, effective_ids=True):
        raise OSError(errno.EACCES, f'exec: "{name}": permission denied')


def change_directory(path: str) -> None:
    """Go to the working directory, which must lie inside the root. Raises OSError."""
    try:
        os.chdir(path or "/")
        if not os.getcwd().startswith("/"):
            raise OSError(errno.EXDEV, "is outside of the container's root")
    except OSError as error:
        raise OSError(error.errno, f'chdir to cwd ("{path}"): {_reason(error)}') from error


def describe(error: BaseException) -> str:
    """Say what went wrong, without traceback machinery."""
    if isinstance(error, OSError):
        text = _reason(error)
        return f"{error.filename}: {text}" if error.filename else text
    return f"{type(error).__name__}: {error}"


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def _environment(env: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in env)}
