"""`nanokube image`: list, pull, import and remove images, over the runtime's socket."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import grpc
from rich import console, progress, table

from cri.api import runtime_pb2, runtime_pb2_grpc, transfer_pb2, transfer_pb2_grpc
from nanokube.cli import errors
from nanokube.kit import paths

_SECONDS_MAX = 10
_VERBS = {"downloading": "fetch", "unpacking": "unpack", "done": "done", "present": "present"}


@click.group()
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=paths.Paths().cri_socket,
    show_default=True,
    help="The runtime's socket.",
)
@click.pass_context
def image(context: click.Context, socket: Path) -> None:
    """List, pull, import and remove images."""
    context.obj = socket


@image.command("ls")
@click.argument("reference", default="")
@click.pass_obj
def list_images(socket: Path, reference: str) -> None:
    """Show the images of this node, or one of them."""
    with _channel(socket) as channel:
        images = runtime_pb2_grpc.ImageServiceStub(channel)  # type: ignore[no-untyped-call]
        query = runtime_pb2.ListImagesRequest(
            filter=runtime_pb2.ImageFilter(image=runtime_pb2.ImageSpec(image=reference))
        )
        answer = images.ListImages(query, timeout=_SECONDS_MAX)
    shown = table.Table("IMAGE", "TAG", "ID", "SIZE", box=None, pad_edge=False, header_style="")
    for name, tag, image_id, size in rows(answer.images):
        shown.add_row(name, tag, image_id, size)
    console.Console(soft_wrap=True).print(shown)


@image.command("pull")
@click.argument("reference")
@click.option("--username", default="", help="Name for a registry that wants one.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def pull(socket: Path, reference: str, username: str, password_stdin: bool) -> None:
    """Fetch an image from its registry."""
    password = sys.stdin.read().strip() if password_stdin else ""
    request = transfer_pb2.PullRequest(reference=reference, username=username, password=password)
    with _channel(socket) as channel:
        stub = transfer_pb2_grpc.TransferStub(channel)  # type: ignore[no-untyped-call]
        _report(_follow(stub.Pull(request)))


@image.command("import")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def import_(socket: Path, archive: Path) -> None:
    """Add the images of an OCI or `docker save` archive that lies on this host."""
    with _channel(socket) as channel:
        _report(_follow(transfer(channel, archive)))


@image.command("rm")
@click.argument("references", nargs=-1, required=True)
@click.pass_obj
def remove(socket: Path, references: tuple[str, ...]) -> None:
    """Remove images with all their tags."""
    with _channel(socket) as channel:
        images = runtime_pb2_grpc.ImageServiceStub(channel)  # type: ignore[no-untyped-call]
        for reference in references:
            spec = runtime_pb2.ImageSpec(image=reference)
            found = images.ImageStatus(runtime_pb2.ImageStatusRequest(image=spec), timeout=_SECONDS_MAX)
            if not found.HasField("image"):
                raise errors.failure(f"cannot remove image {reference}: not found", "see `nanokube image ls`")
            images.RemoveImage(runtime_pb2.RemoveImageRequest(image=spec), timeout=_SECONDS_MAX)
            click.echo(f"removed {reference}")


def transfer(channel: grpc.Channel, archive: Path) -> Iterator[transfer_pb2.TransferProgress]:
    """Import an archive of this host and yield the progress; the last message has the images."""
    stub = transfer_pb2_grpc.TransferStub(channel)  # type: ignore[no-untyped-call]
    answers: Iterator[transfer_pb2.TransferProgress] = stub.Import(
        transfer_pb2.ImportRequest(path=str(archive.absolute()))
    )
    return answers


def rows(images: Iterable[runtime_pb2.Image]) -> list[tuple[str, str, str, str]]:
    """Lay out one row for each tag: name, tag, short ID, size; an image without tags has one too. Pure."""
    found = []
    for each in images:
        identifier = each.id.removeprefix("sha256:")[:12]
        for full in each.repo_tags or ["<none>:<none>"]:
            name, _, tag = full.rpartition(":")
            found.append((name, tag, identifier, human(each.size)))
    return sorted(found)


def human(size_bytes: int) -> str:
    """Write a size in decimal units, as registries and df -H do. Pure.

    >>> human(1982864)
    '2.0 MB'
    """
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


@contextlib.contextmanager
def _channel(socket: Path) -> Iterator[grpc.Channel]:
    """Connect to the runtime; its refusals become one-line failures."""
    with grpc.insecure_channel(f"unix://{socket.absolute()}") as channel:
        try:
            yield channel
        except grpc.RpcError as err:
            code = err.code() if isinstance(err, grpc.Call) else None
            if code is grpc.StatusCode.UNAVAILABLE and not socket.exists():  # PermissionError: not root
                raise errors.failure(f"no runtime listens at {socket}", "run `sudo nanokube up`") from err
            detail = err.details() if isinstance(err, grpc.Call) else str(err)
            raise errors.failure(str(detail)) from err


def _follow(
    messages: Iterable[transfer_pb2.TransferProgress],
) -> list[transfer_pb2.TransferredImage]:
    """Draw a bar for each layer until the images come."""
    columns = (
        progress.TextColumn("{task.description:<8}"),
        progress.TextColumn("{task.fields[item]}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
    )
    images: list[transfer_pb2.TransferredImage] = []
    shown = console.Console(stderr=True)
    # Without a terminal an empty line would be all there is of the bars.
    with progress.Progress(*columns, console=shown, disable=not shown.is_terminal) as bars:
        tasks: dict[str, progress.TaskID] = {}
        for message in messages:
            images.extend(message.images)
            if not message.item.startswith("sha256:"):
                continue
            if message.item not in tasks:
                tasks[message.item] = bars.add_task("", item=message.item[7:19], total=None)
            bars.update(
                tasks[message.item],
                description=_VERBS.get(message.action, message.action),
                completed=message.current,
                total=message.total or None,
            )
    return images


def _report(images: Iterable[transfer_pb2.TransferredImage]) -> None:
    for each in images:
        for name in each.repo_tags or each.repo_digests or [each.id]:
            click.echo(name)
