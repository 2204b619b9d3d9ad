"""A user in header fields, as front proxies and the servers behind them write and read it. Pure.

Source: client-go transport/round_trippers.go (SetAuthProxyHeaders),
staging apiserver pkg/authentication/request/headerrequest/requestheader.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

from nanokube.apiserver.authn.user import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User

USER: Final = "X-Remote-User"
UID: Final = "X-Remote-Uid"
GROUP: Final = "X-Remote-Group"
EXTRA: Final = "X-Remote-Extra-"
_TOKEN: Final = "!#$&'*+-.^_`|~"  # RFC 9110 5.6.2 without "%", which begins an escape


def fields_of(user: User) -> list[tuple[str, str]]:
    """Write a user."""
    found = [(USER, user.name)]
    if user.uid:
        found.append((UID, user.uid))
    found += [(GROUP, group) for group in user.groups]
    found += [(EXTRA + quote(key, safe=_TOKEN), value) for key, values in user.extra for value in values]
    return found


def user_of(fields: Iterable[tuple[str, str]]) -> User | None:
    """Read a user from fields whose names are in lower case; None if they name nobody.

    Whoever is named is authenticated, as upstream's authenticator adds.
    """
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for field, latin in fields:
        if not field.startswith("x-remote-") or not latin:
            continue
        value = _text(latin)
        if field == "x-remote-user":
            name = name or value
        elif field == "x-remote-uid":
            uid = uid or value
        elif field == "x-remote-group":
            groups.append(value)
        elif field.startswith("x-remote-extra-"):
            extra.setdefault(unquote(field.removeprefix("x-remote-extra-")), []).append(value)
    if not name:
        return None
    if name != ANONYMOUS.name and not {AUTHENTICATED, UNAUTHENTICATED} & set(groups):
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, tuple((key, tuple(values)) for key, values in extra.items()))


def _text(latin: str) -> str:
    """Read a value as UTF-8, which names are written in; bytes that are not stay what they are."""
    try:
        return latin.encode("latin-1").decode()
    except ValueError:
        return latin
