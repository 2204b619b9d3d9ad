"""Rows of apps, autoscaling, batch and policy."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import GroupVersion, Resource, scale

_APPS: Final = GroupVersion("apps", "v1")
_BATCH: Final = GroupVersion("batch", "v1")
_POLICY: Final = GroupVersion("policy", "v1")
_ALL: Final = ("all",)
_HPA: Final = ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa")


def _workload(kind: str, plural: str, *short_names: str, scales: bool = True) -> Resource:
    return _APPS.kind(
        kind,
        plural,
        *short_names,
        categories=_ALL,
        subresources=(scale(),) if scales else (),
        has_status=True,
        has_generation=True,
    )


APPS: Final[tuple[Resource, ...]] = (
    _APPS.kind("ControllerRevision", "controllerrevisions"),
    _workload("DaemonSet", "daemonsets", "ds", scales=False),
    _workload("Deployment", "deployments", "deploy"),
    _workload("ReplicaSet", "replicasets", "rs"),
    _workload("StatefulSet", "statefulsets", "sts"),
)

ROWS: Final[tuple[Resource, ...]] = (
    GroupVersion("autoscaling", "v2").kind(*_HPA, categories=_ALL, has_status=True),
    GroupVersion("autoscaling", "v1").kind(
        *_HPA, categories=_ALL, has_status=True, stored_as="horizontalpodautoscalers.autoscaling"
    ),
    _BATCH.kind("CronJob", "cronjobs", "cj", categories=_ALL, has_status=True, has_generation=True),
    _BATCH.kind("Job", "jobs", categories=_ALL, has_status=True, has_generation=True),
)

POLICY: Final = (
    _POLICY.kind("PodDisruptionBudget", "poddisruptionbudgets", "pdb", has_status=True, has_generation=True),
)
