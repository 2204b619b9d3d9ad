"""CNI results and the versions they are written in. Pure. Source: SPEC.md 1.1.0, section 5."""

from collections.abc import Mapping, Sequence
from typing import Any

NEWEST = "1.1.0"
_NEW_IN_1_1: Mapping[str, Sequence[str]] = {
    "interfaces": ("mtu", "socketPath", "pciID"),
    "routes": ("mtu", "advmss", "priority", "table", "scope"),
}


def convert(result: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Write a newest-version result in another version, 0.3.1 to 1.1.0."""
    out = {**result, "cniVersion": version}
    if version != NEWEST:
        for key, fields in _NEW_IN_1_1.items():
            out[key] = [{k: v for k, v in item.items() if k not in fields} for item in out.get(key) or []]
    if version.startswith("0."):
        out["ips"] = [{"version": _family(ip["address"]), **ip} for ip in out.get("ips") or []]
    return out


def upgrade(previous: Mapping[str, Any]) -> dict[str, Any]:
    """Read a result of any supported version as the newest."""
    ips = [{k: v for k, v in ip.items() if k != "version"} for ip in previous.get("ips") or []]
    return {**previous, "cniVersion": NEWEST, "ips": ips}


def _family(address: str) -> str:
    return "6" if ":" in address else "4"
