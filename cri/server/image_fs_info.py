"""RPC ImageFsInfo."""

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import container_stats
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ImageFsInfoRequest, context: grpc.ServicerContext
) -> pb.ImageFsInfoResponse:
    """Return what images and what containers' writable layers take on disk."""
    images = env.images.fs_info()
    writable = [container_stats.disk(env, record.id) for record in env.store.containers.all()]
    return pb.ImageFsInfoResponse(
        image_filesystems=[_usage(env, str(images.mountpoint), images.used_bytes, images.inodes_used)],
        container_filesystems=[
            _usage(
                env,
                str(env.config.snapshots_dir),
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
