"""The controllers, all of them: one cache a resource, one task group."""

import asyncio
from collections.abc import Callable
from typing import Never

from nanokube.client import events, informer
from nanokube.client.interface import ApiClient
from nanokube.controllers import (
    certificates,
    cluster_info,
    cronjob,
    daemonset,
    deployment,
    disruption,
    endpoints,
    endpointslice,
    endpointslice_mirroring,
    ephemeral_volumes,
    garbage,
    horizontal_pod_autoscaler,
    job,
    local_volumes,
    namespace,
    node_ipam,
    node_lifecycle,
    node_ttl,
    podgc,
    replicaset,
    replicationcontroller,
    resourcequota,
    service_cidrs,
    service_lb,
    serviceaccount,
    statefulset,
    taint_eviction,
    token_cleaner,
    ttl_after_finished,
    volume_binder,
    volume_protection,
)
from nanokube.controllers.env import Controller, Env, Options
from nanokube.kit import clock

CONTROLLERS: tuple[Callable[[Env], Controller], ...] = (
    serviceaccount.ServiceAccountController,
    certificates.CertificatesController,
    cluster_info.ClusterInfoController,
    token_cleaner.TokenCleaner,
    namespace.NamespaceController,
    node_ipam.NodeIpamController,
    node_lifecycle.NodeLifecycleController,
    node_ttl.NodeTtlController,
    taint_eviction.TaintEvictionController,
    deployment.DeploymentController,
    replicaset.ReplicaSetController,
    replicationcontroller.ReplicationController,
    daemonset.DaemonSetController,
    statefulset.StatefulSetController,
    job.JobController,
    cronjob.CronJobController,
    ttl_after_finished.TtlAfterFinishedController,
    disruption.DisruptionController,
    horizontal_pod_autoscaler.HorizontalPodAutoscalerController,
    endpoints.EndpointsController,
    endpointslice.EndpointSliceController,
    endpointslice_mirroring.EndpointSliceMirroringController,
    service_lb.ServiceLbController,
    service_cidrs.ServiceCidrsController,
    podgc.PodGcController,
    resourcequota.ResourceQuotaController,
    volume_binder.VolumeBinderController,
    volume_protection.VolumeProtectionController,
    local_volumes.LocalVolumesController,
    ephemeral_volumes.EphemeralVolumesController,
    # Last: it follows by metadata alone what no other controller follows whole.
    garbage.GarbageCollector,
)

# Sources of events that are not called after their module.
NAMES = {
    "service-lb": "service-controller",
    "service-cidrs": "service-cidr-controller",
    "replicationcontroller": "replication-controller",
    "endpoints": "endpoint-controller",
    "endpointslice": "endpoint-slice-controller",
    "endpointslice-mirroring": "endpoint-slice-mirroring-controller",
    "disruption": "controllermanager",
    "ephemeral-volumes": "ephemeral_volume",
    "volume-binder": "persistentvolume-controller",
    "local-volumes": "nanokube.io/local",
}


async def run(
    client: ApiClient, options: Options | None = None, *, time: clock.Clock = clock.SYSTEM
) -> Never:
    """Run every controller until cancelled or one fails for good."""
    factory = informer.Factory(client)
    recorders: list[events.EventRecorder] = []
    controllers: list[Controller] = []
    for make in CONTROLLERS:
        recorder = events.EventRecorder(client, _component(make), time=time)
        recorders.append(recorder)
        controllers.append(make(Env(client, factory, recorder, time, options or Options())))
    async with asyncio.TaskGroup() as group:
        group.create_task(factory.run(), name="informers")
        for recorder in recorders:
            group.create_task(recorder.run(), name="events")
        for controller in controllers:
            group.create_task(controller.run(), name=type(controller).__name__)
    raise AssertionError("controllers never end")


def _component(make: Callable[[Env], Controller]) -> str:
    """Name the events' source as upstream does: "deployment-controller"."""
    module = make.__module__.rpartition(".")[2].replace("_", "-")
    if module == "horizontal-pod-autoscaler":
        return module
    if module.startswith("node-"):
        return "node-controller"
    return NAMES.get(module, f"{module}-controller")
