"""Requests that mean more than they seem to: bodies that grow."""

from __future__ import annotations

import pytest

from nanokube.api import errors
from nanokube.apiserver.endpoints import negotiate


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
