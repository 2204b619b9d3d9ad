"""Requests that mean more than they seem to: verbs behind upgrades, bodies that grow."""

from __future__ import annotations

import pytest

from nanokube.api import errors
from nanokube.apiserver import requestinfo
from nanokube.apiserver.endpoints import negotiate
from nanokube.kit.http.message import Headers, Peer, Request


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_running_something_in_a_pod_is_authorized_as_create(method: str, subresource: str) -> None:
    """k8s#78741: an upgrade is a GET, but no reading."""
    request = Request(
        method, f"/api/v1/namespaces/d/pods/p/{subresource}", Headers(), b"", Peer("192.0.2.1", 1)
    )
    assert requestinfo.parse(request).verb == "create"


def test_a_body_that_repeats_itself_is_refused() -> None:
    """CVE-2019-11253: aliases of aliases make billions of values out of a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(errors.ApiError, match="aliases are not supported"):
        negotiate.parse("\n".join(lines).encode(), "application/yaml")


@pytest.mark.parametrize("kind", ["application/yaml", "application/json"])
def test_a_body_of_endless_depth_is_refused(kind: str) -> None:
    with pytest.raises(errors.ApiError):
        negotiate.parse(b"[" * 100_000, kind)
