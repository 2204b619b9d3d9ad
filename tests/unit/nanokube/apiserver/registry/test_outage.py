"""A store that fails is told of in the API's words, and nobody is sent to ask again and again."""

import pytest

from nanokube.apiserver.registry import outage
from nanokube.storage.store import Broken, StoreError, Unavailable, Uncertain


@pytest.mark.parametrize(
    ("err", "code", "message"),
    [
        (Unavailable("cannot reach etcd: no leader"), 503, "cannot reach etcd: no leader"),
        (Uncertain("cannot tell"), 504, "Timeout: cannot tell"),
        (Broken("disk full"), 500, "Internal error occurred: disk full"),
    ],
)
def test_a_failure_of_the_store_is_said_once(err: StoreError, code: int, message: str) -> None:
    said = outage.explained(err)
    assert (said.code, said.message) == (code, message)
    assert not said.retry_after_s, "client-go asks ten times then, each as long as the store waits"
