"""RPC ExecSync."""

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import leaving, limits, running
from cri.server.environment import Environment

# What a container may make the runtime hold (CVE-2022-31030), and what fits into one answer: a kubelet takes
# messages of 16 MiB (k8s.io/cri-client, maxMsgSize). containerd holds 16 MiB a stream, whose answer fails.
OUTPUT_BYTES_MAX = (16 << 20) - 1024


def handle(
    env: Environment, request: pb.ExecSyncRequest, context: grpc.ServicerContext
) -> pb.ExecSyncResponse:
    """Run a command to its end; a timeout (seconds, 0 = none) kills it and is DEADLINE_EXCEEDED.

    So does a client that leaves, as with containerd. Output beyond one message is cut off, so that the exit
    code always comes.
    """
    if not request.cmd:
        raise faults.invalid("cannot execute: no command")
    record = running.get(env, request.container_id)
    with leaving.told(context) as left:
        result = env.client.exec_sync(
            record.id,
            list(request.cmd),
            timeout_s(limits.seconds(request.timeout), limits.patience(context.time_remaining())),
            OUTPUT_BYTES_MAX,
            left,
        )
    stdout, stderr = fit(result.stdout, result.stderr, OUTPUT_BYTES_MAX)
    return pb.ExecSyncResponse(stdout=stdout, stderr=stderr, exit_code=result.exit_code)


def timeout_s(wanted: float, patience_s: float | None) -> float:
    """Return how long a command may run, 0 = for ever: no longer than its client waits. Pure.

    >>> timeout_s(10, None), timeout_s(0, 5.0), timeout_s(10, 5.0), timeout_s(0, None)
    (10, 5.0, 5.0, 0)
    """
    if patience_s is None:
        return wanted
    return min(wanted, patience_s) if wanted else patience_s


def fit(stdout: bytes, stderr: bytes, room: int) -> tuple[bytes, bytes]:
    """Cut both to room bytes together; what one leaves is the other's, half is each one's. Pure.

    >>> fit(b"long output", b"err", 8), fit(b"long", b"longer", 6), fit(b"a", b"b", 6)
    ((b'long ', b'err'), (b'lon', b'lon'), (b'a', b'b'))
    """
    half = room // 2
    stdout = stdout[: max(room - len(stderr), half)]
    return stdout, stderr[: room - len(stdout)]
