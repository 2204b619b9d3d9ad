"""Hands the body of a server behind us on to the client, part by part, as fast as the client reads."""

from collections.abc import Awaitable, Callable

from cri.wire.aio import dial
from cri.wire.errors import ProtocolError
from nanokube.kit.http.stream import Stream


def passed_on(answer: dial.Answer) -> Callable[[Stream], Awaitable[None]]:
    """Return what streams the answer's body; it closes the answer. A body cut short cuts ours short."""

    async def run(stream: Stream) -> None:
        try:
            async for part in answer.body():
                stream.write(part)
                await stream.drain()
        except (ProtocolError, OSError):
            stream.abort()
        finally:
            await answer.close()

    return run
