"""A bootstrap token is its user while it lives, and nobody after."""

from typing import Any

import pytest

from nanokube.api import bootstrap_tokens as tokens
from nanokube.apiserver.authn.bootstrap_tokens import BootstrapTokens

USES = frozenset((tokens.AUTHENTICATION, tokens.SIGNING))


def found(secret: dict[str, Any] | None) -> BootstrapTokens:
    def find(resource: str, key: str) -> dict[str, Any] | None:
        return secret if (resource, key) == ("secrets", "kube-system/bootstrap-token-abcdef") else None

    return BootstrapTokens(find)


def token(expires: float | None = None, usages: frozenset[str] = USES) -> dict[str, Any]:
    known = tokens.BootstrapToken("abcdef", "0123456789abcdef", expires, usages, (tokens.JOIN_GROUP,))
    return tokens.to_secret(known)


def test_a_token_is_a_bootstrapper() -> None:
    user = found(token(expires=100.0)).check("abcdef.0123456789abcdef", 99.0)
    assert user is not None
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == ("system:bootstrappers", tokens.JOIN_GROUP, "system:authenticated")


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (token(), "abcdef.0123456789abcdee"),
        (token(), "abcdef.0123456789ABCDEF"),
        (token(), "ghijkl.0123456789abcdef"),
        (token(expires=100.0), "abcdef.0123456789abcdef"),
        (token(usages=frozenset((tokens.SIGNING,))), "abcdef.0123456789abcdef"),
        ({**token(), "type": "Opaque"}, "abcdef.0123456789abcdef"),
        (
            {**token(), "metadata": {"name": "bootstrap-token-abcdef", "deletionTimestamp": "x"}},
            "abcdef.0123456789abcdef",
        ),
        (None, "abcdef.0123456789abcdef"),
        (tokens.to_secret(tokens.BootstrapToken("abcdef", "ä", None, USES)), "abcdef.0123456789abcdef"),
    ],
)
def test_others_are_nobody(secret: dict[str, Any] | None, text: str) -> None:
    assert found(secret).check(text, 101.0) is None
