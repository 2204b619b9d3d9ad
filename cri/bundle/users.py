"""Who a container runs as: CRI security context + image USER + the image's passwd and group files. Pure.

Numbers come first; every id must satisfy 0 <= id < 2**31 - 1, so that no conversion can wrap it to root.
Source: passwd(5), group(5); OCI image-spec config.md "User"; CRI SupplementalGroupsPolicy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

ID_MAX = 2**31 - 2
_DIGITS_MAX = 20  # of a number worth parsing; int() is quadratic, and refuses thousands


class UserError(ValueError):
    """The wanted user or group cannot be resolved."""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """A resolved user. home: "" if the user has no entry."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """An entry of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """An entry of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


def resolve(
    *,
    user: str,
    uid: int | None,
    username: str,
    gid: int | None,
    supplemental: Sequence[int],
    strict: bool,
    passwd: bytes,
    group: bytes,
) -> Identity:
    """Find the identity. user: the image's USER ("", "name", "1", "1:2", "name:group").

    uid, username, gid: what CRI asks for (None, "" = nothing). strict: only the supplemental groups given;
    else those the group file lists for the user are merged in. Raises UserError.
    """
    if gid is not None and uid is None and not username:
        raise UserError("cannot use run_as_group without run_as_user or run_as_username")
    accounts, groups = tuple([*parse_passwd(passwd)]), tuple([*parse_group(group)])
    wanted, _, wanted_group = user.partition(":")
    if uid is not None:
        wanted, wanted_group = str(uid), ""
    elif username:
        wanted, wanted_group = username, ""
    account, number = _account(wanted or "0", accounts)
    primary = account.gid if account else 0
    if wanted_group:
        primary = _group(wanted_group, groups)
    if gid is not None:
        primary = _checked(gid, "group")
    extra = [_checked(g, "supplemental group") for g in supplemental]
    if not strict and account:
        extra = [g.gid for g in groups if account.name in g.members] + extra
    chosen = tuple(dict.fromkeys([primary, *extra]))
    return Identity(number, primary, chosen, account.home if account else "")


def parse_passwd(content: bytes) -> Iterator[Account]:
    """Read the well-formed entries of /etc/passwd; others are skipped."""
    for fields in _entries(content, 7):
        if _is_id(fields[2]) and _is_id(fields[3]):
            yield Account(fields[0], int(fields[2]), int(fields[3]), fields[5])


def parse_group(content: bytes) -> Iterator[Group]:
    """Read the well-formed entries of /etc/group; others are skipped."""
    for fields in _entries(content, 4):
        if _is_id(fields[2]):
            yield Group(fields[0], int(fields[2]), tuple([m for m in fields[3].split(",") if m]))


def _entries(content: bytes, count: int) -> Iterator[list[str]]:
    for line in content.decode("utf-8", "replace").split("\n"):
        fields = line.strip("\r").split(":")
        if len(fields) >= count and fields[0] and not line.startswith("#"):
            yield fields


def _is_id(text: str) -> bool:
    return len(text) <= _DIGITS_MAX and text.isascii() and text.isdigit() and int(text) <= ID_MAX


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()


def _checked(number: int, what: str) -> int:
    if not 0 <= number <= ID_MAX:
        raise UserError(f"cannot use {what} id {number}: outside 0..{ID_MAX}")
    return number


def _account(wanted: str, accounts: Sequence[Account]) -> tuple[Account | None, int]:
    if _is_number(wanted):
        number = _checked(int(wanted[: _DIGITS_MAX + 1]), "user")
        return next((a for a in accounts if a.uid == number), None), number
    for account in accounts:
        if account.name == wanted:
            return account, account.uid
    raise UserError(f"cannot find user {wanted[:64]!r}: no such entry in the image's passwd file")


def _group(wanted: str, groups: Sequence[Group]) -> int:
    if _is_number(wanted):
        return _checked(int(wanted[: _DIGITS_MAX + 1]), "group")
    for group in groups:
        if group.name == wanted:
            return group.gid
    raise UserError(f"cannot find group {wanted[:64]!r}: no such entry in the image's group file")
