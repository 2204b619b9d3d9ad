"""Requests and limits as cgroup numbers; quality of service. Pure.

Source: pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go, pkg/apis/core/v1/helper/qos/qos.go.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import quantity

Object = Mapping[str, Any]

MIN_SHARES = 2
MAX_SHARES = 262144
PERIOD_US = 100_000
MIN_QUOTA_US = 1000
CRITICAL_PRIORITY = 2_000_001_000  # system-node-critical

_GUARANTEED_OOM = -997
_BEST_EFFORT_OOM = 1000


def qos_class(pod: Object) -> str:
    """Class a Pod: Guaranteed, Burstable or BestEffort, by cpu and memory alone."""
    spec = pod["spec"]
    if spec.get("resources") is not None:  # even if it asks for nothing, the containers' do not count
        return _class([spec["resources"]])
    every = [*spec["containers"], *(spec.get("initContainers") or ())]
    return _class([container.get("resources") or {} for container in every])


def _class(resources: list[Object]) -> str:
    guaranteed, any_set = True, False
    for resource in resources:
        for name in ("cpu", "memory"):
            limit, request = _amount(resource, "limits", name), _amount(resource, "requests", name)
            if not request and limit:
                request = limit
            any_set = any_set or bool(limit or request)
            guaranteed = guaranteed and bool(limit) and limit == request
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(resources: Object, kind: str, name: str) -> Decimal:
    text = (resources.get(kind) or {}).get(name)
    return quantity.parse(text).amount if text is not None else Decimal(0)


def milli_cpu(resources: Object, kind: str) -> int:
    """Return requests.cpu or limits.cpu in thousandths; 0 when unset. A request defaults to the limit."""
    amount = _amount(resources, kind, "cpu")
    if not amount and kind == "requests":
        amount = _amount(resources, "limits", "cpu")
    return int(-(-amount * 1000 // 1))


def memory_bytes(resources: Object, kind: str) -> int:
    """Return requests.memory or limits.memory; 0 when unset. A request defaults to the limit."""
    amount = _amount(resources, kind, "memory")
    if not amount and kind == "requests":
        amount = _amount(resources, "limits", "memory")
    return int(-(-amount // 1))


def shares(milli: int) -> int:
    """Turn a CPU request into cgroup v1 shares."""
    return min(MAX_SHARES, max(MIN_SHARES, milli * 1024 // 1000))


def quota_us(milli: int) -> int:
    """Turn a CPU limit into a quota per 100 ms; 0 means none."""
    return max(MIN_QUOTA_US, milli * PERIOD_US // 1000) if milli else 0


def shares_to_milli(value: int) -> int:
    """Turn shares back into a CPU request; the two do not lose a thousandth for whole requests."""
    return -(-value * 1000 // 1024)


def oom_score_adj(pod: Object, container: Object, node_memory: int) -> int:
    """Rank a container for the OOM killer: 1000 goes first."""
    if (pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY:
        return _GUARANTEED_OOM
    match qos_class(pod):
        case "Guaranteed":
            return _GUARANTEED_OOM
        case "BestEffort":
            return _BEST_EFFORT_OOM
    request = memory_bytes(container.get("resources") or {}, "requests")
    adjust = 1000 - 1000 * request // max(node_memory, 1)
    # Burstable lies between: never as safe as Guaranteed, never as exposed as BestEffort.
    return min(_BEST_EFFORT_OOM - 1, max(1000 + _GUARANTEED_OOM, adjust))


def container_resources(
    pod: Object, container: Object, node_memory: int, *, is_unified: bool = False
) -> pb.LinuxContainerResources:
    """Build what the runtime is to enforce for one container. is_unified: the host has cgroup v2 alone."""
    resources = container.get("resources") or {}
    limit = milli_cpu(resources, "limits")
    built = pb.LinuxContainerResources(
        cpu_period=PERIOD_US,
        cpu_quota=quota_us(limit),
        cpu_shares=shares(milli_cpu(resources, "requests")),
        memory_limit_in_bytes=memory_bytes(resources, "limits"),
        oom_score_adj=oom_score_adj(pod, container, node_memory),
    )
    if is_unified:
        built.unified["memory.oom.group"] = "1"  # singleProcessOOMKill is false by default there
    for size, limit_bytes in hugepages(resources):
        built.hugepage_limits.append(pb.HugepageLimit(page_size=size, limit=limit_bytes))
    return built


def hugepages(resources: Object) -> list[tuple[str, int]]:
    """List (page size as the kernel spells it, bytes) of hugepages-* limits."""
    found = []
    for name, text in (resources.get("limits") or {}).items():
        if name.startswith("hugepages-"):
            found.append((name.removeprefix("hugepages-").replace("i", "B"), quantity.parse(text).value))
    return found


def pod_resources(pod: Object) -> pb.LinuxContainerResources:
    """Build the Pod's own cgroup limits: sums, where every container has a limit."""
    own = pod["spec"].get("resources") or {}
    return pb.LinuxContainerResources(
        cpu_period=PERIOD_US,
        cpu_shares=shares(milli_cpu(own, "requests") or _sum(pod, "cpu")),
        cpu_quota=quota_us(milli_cpu(own, "limits") or _limit(pod, milli_cpu)),
        memory_limit_in_bytes=memory_bytes(own, "limits") or _limit(pod, memory_bytes),
    )


def _limit(pod: Object, read: Callable[[Object, str], int]) -> int:
    """Add up limits; 0, for none, as soon as one container has none."""
    limits = [read(c, "limits") for c in _concurrent(pod)]
    every = [read(c.get("resources") or {}, "limits") for c in pod["spec"].get("initContainers") or ()]
    return max(sum(limits), *every, 0) if all(limits) and all(every) else 0


def _concurrent(pod: Object) -> list[Object]:
    """List the resources of containers that run side by side: ordinary ones and sidecars."""
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [c.get("resources") or {} for c in (*pod["spec"]["containers"], *sidecars)]


def _sum(pod: Object, name: str) -> int:
    read = milli_cpu if name == "cpu" else memory_bytes
    return sum(read(resources, "requests") for resources in _concurrent(pod))


def pod_requests(pod: Object) -> dict[str, Decimal]:
    """Return what a Pod needs of a node: per resource the larger of the running sum and any init step."""
    spec = pod["spec"]
    total = _added(_requests(c) for c in spec["containers"])
    sidecars: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        step = _added([_requests(container), sidecars])
        if container.get("restartPolicy") == "Always":
            sidecars = step
        for name, amount in step.items():
            peak[name] = max(peak.get(name, Decimal(0)), amount)
    total = _added([total, sidecars])
    for name, amount in peak.items():
        total[name] = max(total.get(name, Decimal(0)), amount)
    pod_level = (spec.get("resources") or {}).get("requests") or {}
    total |= {name: quantity.parse(text).amount for name, text in pod_level.items()}
    overhead = {name: quantity.parse(text).amount for name, text in (spec.get("overhead") or {}).items()}
    return _added([total, overhead])


def _requests(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    merged = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity.parse(text).amount for name, text in merged.items()}


def _added(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total
