"""One HTTP/1.1 request on a connection, and its answer: an upgrade or a refusal in plain text."""

import asyncio
from collections.abc import Sequence

import h11

from cri.wire import upgrade
from cri.wire.aio import departure
from cri.wire.aio.pipe import StreamPipe

HEAD_TIMEOUT_S = 10.0
CHUNK_BYTES = 16 * 1024

Fields = Sequence[tuple[str, str]]


class Exchange:
    """A connection that carries exactly one request: one-shot URLs gain nothing from keep-alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)
        self.method, self.target = "", ""
        self.fields: Fields = ()

    async def read_head(self) -> bool:
        """Read the request; False if the peer left. Raises h11.RemoteProtocolError, TimeoutError."""
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(CHUNK_BYTES))
                elif isinstance(event, h11.Request):
                    self.method, self.target = event.method.decode(), event.target.decode("latin-1")
                    self.fields = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
                    return True
                else:
                    return False

    async def switch(self, wish: upgrade.Wish, protocol: str) -> StreamPipe:
        """Answer 101 and return the connection as a pipe, bytes after the head included."""
        while self._http.next_event() not in (h11.PAUSED, h11.NEED_DATA):
            pass
        fields = [("Upgrade", upgrade.name(wish)), ("Connection", "Upgrade")]
        fields += upgrade.accept_fields(wish, protocol)
        await self._send(h11.InformationalResponse(status_code=101, headers=fields))
        return StreamPipe(self._reader, self._writer, self._http.trailing_data[0])

    async def refuse(self, status: int, message: str, fields: Fields = ()) -> None:
        """Answer with a plain-text message; the connection then closes."""
        body = message.encode() + b"\n"
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        await self._send(
            h11.Response(status_code=status, headers=[*head, ("Connection", "close"), *fields]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    async def departed(self) -> None:
        """Return once the client has left, even while nothing of its input is read."""
        await departure.departed(self._writer.get_extra_info("socket").fileno())

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        self._writer.write(data)
        await self._writer.drain()
