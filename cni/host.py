"""What the plugins change on the host itself, written down first so that reset() can undo it."""

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from cni import netlink

_RECORD = (
    "host.json"  # sysctls: {path below /proc/sys: value before us}; tables, bridge_tables, bridges: names
)
_PROC = Path("/proc/sys")


def set_sysctl(data_dir: Path, key: str, value: str) -> None:
    """Set a host-wide setting, remembering what it was. key: `net/ipv4/ip_forward`."""
    path = _PROC / key
    before = path.read_text().strip()
    if before == value:
        return
    record = _load(data_dir)
    record["sysctls"].setdefault(key, before)
    _store(data_dir, record)
    path.write_text(value)


def set_own_sysctl(key: str, value: str) -> None:
    """Set what belongs to our own link or namespace; it vanishes with it. Absent settings are passed over."""
    with contextlib.suppress(FileNotFoundError):
        (_PROC / key).write_text(value)


def remember(data_dir: Path, kind: str, name: str) -> None:
    """Write down that we are about to make a table or bridge. kind: `tables`, `bridge_tables`, `bridges`."""
    record = _load(data_dir)
    if name not in record[kind]:
        record[kind].append(name)
        _store(data_dir, record)


def reset(data_dir: Path) -> None:
    """Delete our tables and bridges and set settings back to what they were. Idempotent."""
    record = _load(data_dir)
    tables = [("ip", name) for name in record["tables"]] + [
        ("bridge", name) for name in record["bridge_tables"]
    ]
    for family, name in tables:
        subprocess.run(["nft", "delete", "table", family, name], capture_output=True, timeout=20, check=False)
    with netlink.Socket() as rtnetlink:
        for name in record["bridges"]:
            rtnetlink.run_if_exists(netlink.delete_link(name))
    for key, value in record["sysctls"].items():
        (_PROC / key).write_text(value)
    (data_dir / _RECORD).unlink(missing_ok=True)


def _load(data_dir: Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"sysctls": {}, "tables": [], "bridge_tables": [], "bridges": []}
    try:
        return {**empty, **json.loads((data_dir / _RECORD).read_text())}
    except FileNotFoundError:
        return empty


def _store(data_dir: Path, record: object) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    temporary = data_dir / (_RECORD + ".new")
    temporary.write_text(json.dumps(record))
    os.replace(temporary, data_dir / _RECORD)
