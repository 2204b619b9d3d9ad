"""What the plugins change on the host itself, written down first so that reset() can undo it."""

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cni import netlink

_RECORD = "host.json"  # sysctls: {path below /proc/sys: value before us}; _KINDS: names
_LOCK = "host.lock"
_KINDS = ("tables", "tables6", "bridge_tables", "inet_tables", "bridges")
_PROC = Path("/proc/sys")
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def set_sysctl(data_dir: Path, key: str, value: str) -> None:
    """Set a host-wide setting, remembering what it was. key: `net/ipv4/ip_forward`."""
    path = _PROC / key
    before = path.read_text().strip()
    if before == value:
        return
    if key == FORWARDING[6]:
        _keep_router_advertisements(data_dir)
    with _locked(data_dir):
        record = _load(data_dir)
        record["sysctls"].setdefault(key, before)
        _store(data_dir, record)
    path.write_text(value)


def _keep_router_advertisements(data_dir: Path) -> None:
    """Have links that heed router advertisements go on: one that forwards forgets its default route else.

    Source: Documentation/networking/ip-sysctl.rst, accept_ra.
    """
    for path in _PROC.glob("net/ipv6/conf/*/accept_ra"):
        if path.parent.name not in ("all", "default", "lo") and path.read_text().strip() == "1":
            set_sysctl(data_dir, str(path.relative_to(_PROC)), "2")


def set_own_sysctl(key: str, value: str) -> None:
    """Set what belongs to our own link or namespace; it vanishes with it. Absent settings are passed over."""
    with contextlib.suppress(FileNotFoundError):
        (_PROC / key).write_text(value)


def remember(data_dir: Path, kind: str, name: str) -> None:
    """Write down that we are about to make a table or bridge.

    kind: `tables` (family ip), `tables6` (ip6), `bridge_tables`, `inet_tables`, `bridges`.
    """
    with _locked(data_dir):
        record = _load(data_dir)
        if name not in record[kind]:
            record[kind].append(name)
            _store(data_dir, record)


def reset(data_dir: Path) -> None:
    """Delete our tables and bridges and set settings back to what they were. Idempotent."""
    record = _load(data_dir)
    kinds = {"ip": "tables", "ip6": "tables6", "bridge": "bridge_tables", "inet": "inet_tables"}
    for family, name in [(family, name) for family, kind in kinds.items() for name in record[kind]]:
        subprocess.run(["nft", "delete", "table", family, name], capture_output=True, timeout=20, check=False)
    with netlink.Socket() as rtnetlink:
        for name in record["bridges"]:
            rtnetlink.run_if_exists(netlink.delete_link(name))
    for key, value in record["sysctls"].items():
        with contextlib.suppress(FileNotFoundError):  # of a link that is gone
            (_PROC / key).write_text(value)
    for name in (_RECORD, _LOCK):
        (data_dir / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Keep others out, who are other processes: plugins, and a node's agent."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _load(data_dir: Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"sysctls": {}, **{kind: [] for kind in _KINDS}}
    try:
        return {**empty, **json.loads((data_dir / _RECORD).read_text())}
    except FileNotFoundError:
        return empty


def _store(data_dir: Path, record: object) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    temporary = data_dir / (_RECORD + ".new")
    temporary.write_text(json.dumps(record))
    os.replace(temporary, data_dir / _RECORD)
