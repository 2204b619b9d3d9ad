"""One-shot tokens."""

import pytest

from cri.streaming.tokens import Tokens, TooManyRequests


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_good_once_and_for_its_time() -> None:
    clock = Clock()
    tokens: Tokens[str] = Tokens(clock, ttl_s=60)
    first, second = tokens.issue("a"), tokens.issue("b")
    assert tokens.redeem(first) == "a"
    assert tokens.redeem(first) is None
    clock.now = 60
    assert tokens.redeem(second) is None


def test_waiting_requests_are_bounded_and_expire_to_make_room() -> None:
    clock = Clock()
    tokens: Tokens[int] = Tokens(clock, ttl_s=60, limit=2)
    tokens.issue(1)
    tokens.issue(2)
    with pytest.raises(TooManyRequests):
        tokens.issue(3)
    clock.now = 61
    tokens.issue(3)
