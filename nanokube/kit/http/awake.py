"""Staying awake for a moment after an answer, where the next request is about to come.

To sleep and be woken costs a server more than to look for the next request for as long as a client that is
near needs to send it. So a server looks, instead of sleeping, for AWAKE_S after the answer to a request that
itself came within NEAR_S of the answer before it on its connection: a client that asks for one thing after
another. Where requests come seldom, or many at once, that is never so; and while anything else is under way
(the store's writer needs the interpreter) it sleeps as ever.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

NEAR_S: Final = 150e-6  # twice what a client on the same host takes, woken by what it reads
AWAKE_S: Final = 60e-6


class Awake:
    """One a server. under_way: how many requests wait for something to be done."""

    def __init__(self) -> None:
        self.under_way = 0
        self._until = 0.0
        self._is_turning = False

    def stay(self) -> None:
        """Look for the next request for a moment."""
        if self.under_way:
            return
        self._until = time.perf_counter() + AWAKE_S
        if not self._is_turning:
            self._is_turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if time.perf_counter() < self._until and not self.under_way:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._is_turning = False
