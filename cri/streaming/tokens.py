"""One-shot tokens: each stands for one request for one minute.

Source: k8s.io/cri-streaming pkg/streaming/request_cache.go (one minute, 1000 at most).
"""

import secrets
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

TTL_S = 60.0
MAX_WAITING = 1000

T = TypeVar("T")


class TooManyRequests(Exception):
    """More requests wait to be used than are kept (gRPC RESOURCE_EXHAUSTED)."""


class Tokens(Generic[T]):
    """Requests by token. Thread-safe."""

    def __init__(self, clock: Callable[[], float], *, ttl_s: float = TTL_S, limit: int = MAX_WAITING) -> None:
        self._clock, self._ttl_s, self._limit = clock, ttl_s, limit
        self._lock = threading.Lock()
        self._requests: dict[str, tuple[float, T]] = {}  # in order of expiry

    def issue(self, request: T) -> str:
        """Keep a request and return its token. Raises TooManyRequests."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._expire()
            if len(self._requests) >= self._limit:
                raise TooManyRequests(f"cannot keep more than {self._limit} streaming requests")
            self._requests[token] = (self._clock() + self._ttl_s, request)
        return token

    def redeem(self, token: str) -> T | None:
        """Take the request that a token stands for; None if there is none, any more."""
        with self._lock:
            self._expire()
            found = self._requests.pop(token, None)
        return found[1] if found else None

    def _expire(self) -> None:
        now = self._clock()
        for token, (deadline, _) in list(self._requests.items()):
            if deadline > now:
                return
            del self._requests[token]
