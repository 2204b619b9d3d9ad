"""A tunnel in the shape of a BytePipe (cri.wire), for those who relay it to another connection."""

from nanokube.kit.http.stream import Tunnel


class TunnelPipe:
    """The HTTP server's tunnel as a BytePipe."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    async def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        return await self._tunnel.read()

    async def write(self, data: bytes) -> None:
        """Send bytes and wait for room."""
        self._tunnel.write(data)
        await self._tunnel.drain()

    async def close(self) -> None:
        """Send what is unsent and close."""
        self._tunnel.close()
