"""RPC ImageFsInfo."""

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import container_stats
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ImageFsInfoRequest, context: grpc.ServicerContext
) -> pb.ImageFsInfoResponse:
    """Return what images and what containers' writable layers take on disk.

    On one filesystem both have the same mountpoint: a kubelet that sees two takes them for two filesystems.
    Source: pkg/kubelet/stats/cadvisor_stats_provider.go, ImageFsStats.
    """
    images = env.images.fs_info()
    writable = [container_stats.disk(env, record.id) for record in env.store.containers.all()]
    home, snapshots = images.mountpoint, env.config.snapshots_dir
    if home.stat().st_dev == snapshots.stat().st_dev:
        home = snapshots = env.config.lib_dir
    return pb.ImageFsInfoResponse(
        image_filesystems=[_usage(env, str(home), images.used_bytes, images.inodes_used)],
        container_filesystems=[
            _usage(
                env,
                str(snapshots),
                sum(usage.bytes for usage in writable),
                sum(usage.inodes for usage in writable),
            )
        ],
    )


def _usage(env: Environment, mountpoint: str, used_bytes: int, inodes: int) -> pb.FilesystemUsage:
    return pb.FilesystemUsage(
        timestamp=env.now(),
        fs_id=pb.FilesystemIdentifier(mountpoint=mountpoint),
        used_bytes=pb.UInt64Value(value=used_bytes),
        inodes_used=pb.UInt64Value(value=inodes),
    )
