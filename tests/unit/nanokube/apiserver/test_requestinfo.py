"""What a request asks for, read from its path and query."""

from __future__ import annotations

import pytest

from nanokube.apiserver import requestinfo
from nanokube.kit.http.message import Headers, Peer, Request

PATH = "/api/v1/namespaces/d/configmaps"


@pytest.mark.parametrize(
    ("target", "verb", "name"),
    [
        ("/api/v1/watch/namespaces/d/configmaps", "watch", ""),
        ("/api/v1/watch/namespaces/d/configmaps/a", "watch", "a"),
        ("/apis/apps/v1/watch/deployments?fieldSelector=metadata.name=b", "watch", "b"),
        ("/api/v1/watch/namespaces", "watch", ""),
        ("/api/v1/watch", "list", ""),  # of a resource that nobody has
        (f"{PATH}?fieldSelector=metadata.name%3Da", "list", "a"),
        (f"{PATH}?watch=1&fieldSelector=metadata.name=a,metadata.namespace=d", "watch", "a"),
        (f"{PATH}?fieldSelector=metadata.name!=a", "list", ""),
        (f"{PATH}?fieldSelector=metadata.name=a%2Fb", "list", ""),
        (f"{PATH}?fieldSelector=what", "list", ""),
        (f"{PATH}/b?fieldSelector=metadata.name=a", "get", "b"),
    ],
)
def test_a_selector_of_one_name_is_authorized_as_that_name(target: str, verb: str, name: str) -> None:
    info = requestinfo.parse(Request("GET", target, Headers(), b"", Peer("192.0.2.1", 1)))
    assert (info.verb, info.name) == (verb, name)
