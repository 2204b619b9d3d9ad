"""Hands the body of a server behind us on to the client, part by part, as fast as the client reads."""

from collections.abc import Awaitable, Callable

from cri.wire.aio import dial
from cri.wire.errors import ProtocolError
from nanokube.api import errors
from nanokube.kit.http.stream import Stream


async def first(answer: dial.Answer, limit: int) -> tuple[bytes, bool]:
    """Read a body of up to limit bytes; and tell whether that was all. Raises ApiError if it is cut short."""
    parts: list[bytes] = []
    length = 0
    try:
        async for part in answer.body():
            parts.append(part)
            length += len(part)
            if length > limit:
                return b"".join(parts), False
    except (ProtocolError, OSError) as err:
        await answer.close()
        raise errors.service_unavailable(f"error trying to reach service: {err}") from err
    return b"".join(parts), True


def passed_on(answer: dial.Answer, came: bytes = b"") -> Callable[[Stream], Awaitable[None]]:
    """Return what streams the answer's body; it closes the answer. A body cut short cuts ours short.

    came: what was read of it already.
    """

    async def run(stream: Stream) -> None:
        try:
            if came:
                stream.write(came)
            async for part in answer.body():
                stream.write(part)
                await stream.drain()
        except (ProtocolError, OSError):
            stream.abort()
        finally:
            await answer.close()

    return run
