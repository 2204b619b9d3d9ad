"""Resource limits -> the cgroup files that hold them. Pure.

Source: CRI LinuxContainerResources; KEP-2254 for shares -> weight; kernel cgroup-v1/*.rst and cgroup-v2.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cri.cgroup.hierarchy import Hierarchies

Setting = tuple[str, str, str]  # controller, file, value


def cpu_weight(shares: int) -> int:
    """Map v1 shares (2..262144) to a v2 weight (1..10000)."""
    bounded = min(max(shares, 2), 262144)
    return 1 + (bounded - 2) * 9999 // 262142


def settings(resources: Mapping[str, Any], hierarchies: Hierarchies) -> list[Setting]:
    """List what to write, in order; resources: fields of cri.bundle.spec.Resources."""
    result: list[Setting] = []
    result += _cpu(resources, "cpu" in hierarchies.v1)
    result += _memory(resources, "memory" in hierarchies.v1)
    pids = resources.get("pids_limit", 0)
    if pids:
        result.append(("pids", "pids.max", "max" if pids < 0 else str(pids)))
    for name in ("cpus", "mems"):
        if value := resources.get(f"cpuset_{name}", ""):
            result.append(("cpuset", f"cpuset.{name}", value))
    for size, limit in resources.get("hugepage_limits", ()):
        file = "limit_in_bytes" if "hugetlb" in hierarchies.v1 else "max"
        result.append(("hugetlb", f"hugetlb.{size}.{file}", str(limit)))
    for name, value in resources.get("unified", ()):
        controller = name.partition(".")[0]
        if controller in hierarchies.v2 and "/" not in name:
            result.append((controller, name, value))
    return result


def _cpu(resources: Mapping[str, Any], v1: bool) -> list[Setting]:
    shares, quota, period = (resources.get(f"cpu_{n}", 0) for n in ("shares", "quota", "period"))
    result: list[Setting] = []
    if shares:
        result.append(
            ("cpu", "cpu.shares", str(shares)) if v1 else ("cpu", "cpu.weight", str(cpu_weight(shares)))
        )
    if v1:
        if period:
            result.append(("cpu", "cpu.cfs_period_us", str(period)))
        if quota:
            result.append(("cpu", "cpu.cfs_quota_us", str(quota)))
    elif quota or period:
        amount = "max" if quota <= 0 else str(quota)
        result.append(("cpu", "cpu.max", f"{amount} {period or 100000}"))
    return result


def _memory(resources: Mapping[str, Any], v1: bool) -> list[Setting]:
    limit, swap = resources.get("memory_limit", 0), resources.get("memory_swap_limit", 0)
    result: list[Setting] = []
    if v1:
        if limit:
            result.append(("memory", "memory.limit_in_bytes", str(limit)))
        if swap:
            result.append(("memory", "memory.memsw.limit_in_bytes", str(swap)))
        return result
    if limit:
        result.append(("memory", "memory.max", "max" if limit < 0 else str(limit)))
    if swap and limit > 0:
        result.append(("memory", "memory.swap.max", "max" if swap < 0 else str(max(swap - limit, 0))))
    return result
