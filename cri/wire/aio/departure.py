"""Notices that a connection's peer has left although its input is held back, so that nothing is read."""

import asyncio
import select


async def departed(fd: int) -> None:
    """Return once the peer of a stream socket closed its end or the connection broke.

    What it sent before may still be unread. Source: epoll(7), epoll_ctl(2) EPOLLRDHUP.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    with select.epoll() as poll:  # itself pollable: the loop's own interface has no EPOLLRDHUP
        poll.register(fd, select.EPOLLRDHUP)
        loop.add_reader(poll.fileno(), gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(poll.fileno())
