"""AppArmor in the kernel: whether it is on, which profiles are loaded, loading one.

Source: security/apparmor/apparmorfs.c, lsm.c; apparmor_parser(8).
"""

from __future__ import annotations

import os
import subprocess

from cri.linux import labels

DEFAULT = "nanokube-default"  # the name of our own profile (cri/bundle/apparmor.py)
_ENABLED = "/sys/module/apparmor/parameters/enabled"
_PROFILES = "/sys/kernel/security/apparmor/profiles"
_REMOVE = "/sys/kernel/security/apparmor/.remove"
_PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser")
_TIMEOUT_S = 30


def is_enabled() -> bool:
    """Tell whether the kernel enforces profiles."""
    return _read(_ENABLED)[:1] == b"Y"


def has(name: str) -> bool:
    """Tell whether a profile of this name is loaded."""
    lines = _read(_PROFILES).decode(errors="replace").splitlines()
    return any(line.rpartition(" (")[0] == name for line in lines)


def load(text: str) -> None:
    """Compile profiles and load them, replacing those of the same name. Raises OSError.

    Blocks for some tens of milliseconds. Needs Debian's package apparmor.
    """
    parser = next((path for path in _PARSERS if os.access(path, os.X_OK)), "")
    if not parser:
        raise FileNotFoundError(2, "apparmor_parser is not installed")
    try:
        subprocess.run(
            [parser, "--replace", "--skip-cache"],
            input=text.encode(),
            check=True,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise OSError(22, f"cannot load profile: {error.stderr.decode(errors='replace').strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(110, "cannot load profile: apparmor_parser does not end") from error


def unload_unused(name: str) -> bool:
    """Remove a profile that confines no process; False if it is in use. Raises OSError."""
    if not has(name):
        return True
    if any(
        labels.current(int(pid)).partition(" (")[0] == name
        for pid in filter(str.isdigit, os.listdir("/proc"))
    ):
        return False
    with open(_REMOVE, "wb", buffering=0) as file:
        file.write(name.encode())
    return True


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
