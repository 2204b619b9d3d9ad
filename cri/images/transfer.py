"""The gRPC service nanokube.transfer.v1: pull and import with progress. Runs on the CRI server's threads."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import grpc

from cri.api import transfer_pb2, transfer_pb2_grpc
from cri.images import errors
from cri.images.image import Auth, Image, Progress, ProgressCallback
from cri.images.service import ImageService
from cri.rpc.server import Server

_BACKLOG = 256  # progress messages on their way to a slow client; more are dropped, they only inform

_Work = Callable[[ProgressCallback], Sequence[Image]]


def register(server: Server, images: ImageService) -> None:
    """Add the Transfer service to a gRPC server that is not started yet."""
    transfer_pb2_grpc.add_TransferServicer_to_server(Transfer(images), server)  # type: ignore[no-untyped-call]


class Transfer(transfer_pb2_grpc.TransferServicer):
    """Pull and Import; each streams progress and ends with the images."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    def Pull(
        self, request: transfer_pb2.PullRequest, context: grpc.ServicerContext
    ) -> Iterator[transfer_pb2.TransferProgress]:
        auth = Auth(request.username, request.password) if request.username else None
        return _stream(context, lambda report: [self._images.pull(request.reference, auth, report)])

    def Import(
        self, request: transfer_pb2.ImportRequest, context: grpc.ServicerContext
    ) -> Iterator[transfer_pb2.TransferProgress]:
        path = Path(request.path)
        if not path.is_absolute():
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot import {path}: path is not absolute")
        return _stream(context, lambda report: self._images.import_archive(path, report))


class _CancelledError(Exception):
    """The client went away."""


def _stream(context: grpc.ServicerContext, work: _Work) -> Iterator[transfer_pb2.TransferProgress]:
    """Run work in a thread of its own and yield its progress, then its images."""
    messages: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
    outcome: list[Sequence[Image] | BaseException] = []

    def report(progress: Progress) -> None:
        if not context.is_active():
            raise _CancelledError("cannot go on: client went away")
        if messages.qsize() < _BACKLOG:
            messages.put(progress)

    def run() -> None:
        try:
            outcome.append(work(report))
        except BaseException as err:
            outcome.append(err)
        finally:
            messages.put(None)

    worker = threading.Thread(target=run, name="image-transfer", daemon=True)
    worker.start()
    while (progress := messages.get()) is not None:
        yield transfer_pb2.TransferProgress(
            action=progress.action, item=progress.item, current=progress.current, total=progress.total
        )
    worker.join()
    result = outcome[0]
    if isinstance(result, BaseException):
        _abort(context, result)
    yield transfer_pb2.TransferProgress(action="done", images=[_message(image) for image in result])


def _abort(context: grpc.ServicerContext, err: BaseException) -> NoReturn:
    if isinstance(err, errors.ImageError):
        context.abort(grpc.StatusCode[err.kind.name], str(err))
    if isinstance(err, OSError):
        context.abort(grpc.StatusCode.INTERNAL, str(err))
    raise err


def _message(image: Image) -> transfer_pb2.TransferredImage:
    return transfer_pb2.TransferredImage(
        id=image.id, repo_tags=image.repo_tags, repo_digests=image.repo_digests, size_bytes=image.size_bytes
    )
