"""Defaults of the apps group. Pure. Source: pkg/apis/apps/v1/defaults.go."""

from __future__ import annotations

from typing import Any

from nanokube.api.defaults import pod


def deployment(obj: dict[str, Any]) -> None:
    """Fill in a Deployment."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    pod.fill_template(spec.get("template"))


def replica_set(obj: dict[str, Any]) -> None:
    """Fill in a ReplicaSet."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pod.fill_template(spec.get("template"))
