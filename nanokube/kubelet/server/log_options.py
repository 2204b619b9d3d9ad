"""Options of a request for a container's log. Pure. Source: v1.PodLogOptions and its validation."""

import dataclasses

from cri.wire import logline
from nanokube.kit.http.message import Query
from nanokube.kubelet.server.host import HostError

_STREAMS = {"All": ("stdout", "stderr"), "Stdout": ("stdout",), "Stderr": ("stderr",)}


@dataclasses.dataclass(frozen=True, slots=True)
class LogOptions:
    """What to show. since_ns: the earliest time, nanoseconds since the epoch; 0 shows all."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_ns: int = 0
    streams: tuple[str, ...] = ("stdout", "stderr")


def parse(query: Query, now_ns: int) -> LogOptions:
    """Read query parameters. Raises HostError 400, 422."""
    since_seconds = _number(query, "sinceSeconds", 1)
    since_ns = now_ns - since_seconds * 1_000_000_000 if since_seconds else 0
    if text := query.get("sinceTime"):
        if since_seconds:
            raise HostError(422, "at most one of sinceTime or sinceSeconds may be specified")
        try:
            since_ns = logline.parse_time_ns(text)
        except logline.LogLineError as err:
            raise HostError(400, str(err)) from err
    streams = _STREAMS.get(query.get("stream") or "All")
    if streams is None:
        raise HostError(400, f'invalid stream type "{query.get("stream")}"')
    return LogOptions(
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        timestamps=_flag(query, "timestamps"),
        tail_lines=_number(query, "tailLines", 0),
        limit_bytes=_number(query, "limitBytes", 1),
        since_ns=since_ns,
        streams=streams,
    )


def _flag(query: Query, name: str) -> bool:
    return query.get(name).lower() not in ("", "0", "false")


def _number(query: Query, name: str, least: int) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        number = int(text)
    except ValueError as err:
        raise HostError(400, f"cannot parse {name}: {text[:20]!r}") from err
    if number < least:
        raise HostError(422, f"{name} must be at least {least}")
    return number
