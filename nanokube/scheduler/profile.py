"""Which plugins the default scheduler runs, in this order. Pure.

Source: pkg/scheduler/apis/config/v1/default_plugins.go (order and weights).
"""

from nanokube.scheduler.framework import Filter, Score
from nanokube.scheduler.plugins import (
    balanced_allocation,
    image_locality,
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    node_unschedulable,
    resources_fit,
    taints,
    topology_spread,
    volume_binding,
    volume_restrictions,
    volume_zone,
)

FILTERS: tuple[Filter, ...] = (
    node_unschedulable.FILTER,
    node_name.FILTER,
    taints.FILTER,
    node_affinity.FILTER,
    node_ports.FILTER,
    resources_fit.FILTER,
    volume_restrictions.FILTER,
    volume_binding.FILTER,
    volume_zone.FILTER,
    topology_spread.FILTER,
    inter_pod_affinity.FILTER,
)

SCORES: tuple[Score, ...] = (
    taints.SCORE,
    node_affinity.SCORE,
    topology_spread.SCORE,
    inter_pod_affinity.SCORE,
    resources_fit.SCORE,
    balanced_allocation.SCORE,
    image_locality.SCORE,
)
