"""/metrics/resource from the document of /stats/summary. Pure.

Source: kubernetes pkg/kubelet/metrics/collectors/resource_metrics.go (names, labels, no timestamps here).
"""

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]

_METRICS = {
    "cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed in core-seconds"),
    "memory_working_set_bytes": ("gauge", "Current working set in bytes"),
}


def render(summary: Object) -> str:
    """Write the metrics of node, Pods and containers in the Prometheus text format."""
    samples: dict[str, list[str]] = {}
    for scope, labels, stats in _scopes(summary):
        for suffix, value in _values(stats):
            samples.setdefault(f"{scope}_{suffix}", []).append(f"{scope}_{suffix}{_labels(labels)} {value}")
    return "".join(_family(name, lines) for name, lines in samples.items())


def _scopes(summary: Object) -> Iterator[tuple[str, Mapping[str, str], Object]]:
    yield "node", {}, summary.get("node") or {}
    for pod in summary.get("pods") or ():
        reference = pod.get("podRef") or {}
        labels = {"namespace": reference.get("namespace", ""), "pod": reference.get("name", "")}
        yield "pod", labels, pod
        for container in pod.get("containers") or ():
            yield "container", {"container": container.get("name", ""), **labels}, container


def _values(stats: Object) -> Iterator[tuple[str, str]]:
    nanoseconds = (stats.get("cpu") or {}).get("usageCoreNanoSeconds")
    if nanoseconds is not None:
        yield "cpu_usage_seconds_total", repr(int(nanoseconds) / 1e9)
    working_set = (stats.get("memory") or {}).get("workingSetBytes")
    if working_set is not None:
        yield "memory_working_set_bytes", str(int(working_set))


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""


def _family(name: str, lines: list[str]) -> str:
    kind, text = _METRICS[name.partition("_")[2]]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"
