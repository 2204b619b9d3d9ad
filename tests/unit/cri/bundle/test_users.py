"""Who a container runs as."""

from __future__ import annotations

from typing import Any

import pytest

from cri.bundle import users

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
www:x:33:34::/var/www:/bin/false
bad:x:no:1::/:/
big:x:4294967296:0::/:/
"""
GROUP = b"root:x:0:\nwww:x:34:\nextra:x:50000:www,other\nusers:x:100:\n"


def resolve(**changes: Any) -> users.Identity:
    wanted: dict[str, Any] = {
        "user": "",
        "uid": None,
        "username": "",
        "gid": None,
        "supplemental": (),
        "strict": False,
        "passwd": PASSWD,
        "group": GROUP,
    }
    return users.resolve(**{**wanted, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, users.Identity(0, 0, (0,), "/root")),
        ({"user": "www"}, users.Identity(33, 34, (34, 50000), "/var/www")),
        ({"user": "33"}, users.Identity(33, 34, (34, 50000), "/var/www")),
        ({"user": "1003:users"}, users.Identity(1003, 100, (100,))),
        ({"user": "www:100"}, users.Identity(33, 100, (100, 50000), "/var/www")),
        ({"user": "www", "uid": 1001}, users.Identity(1001, 0, (0,))),
        ({"uid": 1001, "gid": 1002}, users.Identity(1001, 1002, (1002,))),
        ({"username": "www"}, users.Identity(33, 34, (34, 50000), "/var/www")),
        ({"uid": 33, "supplemental": (1234,)}, users.Identity(33, 34, (34, 50000, 1234), "/var/www")),
        (
            {"uid": 33, "supplemental": (1234,), "strict": True},
            users.Identity(33, 34, (34, 1234), "/var/www"),
        ),
    ],
)
def test_identity(changes: dict[str, Any], expected: users.Identity) -> None:
    assert resolve(**changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"gid": 1},
        {"user": "nobody"},
        {"user": "1:nogroup"},
        {"user": "-1"},
        {"user": "4294967296"},
        {"user": "big"},
        {"uid": 2**31 - 1},
        {"uid": 1, "gid": -1},
        {"supplemental": (2**32,)},
    ],
)
def test_ids_that_do_not_exist_or_could_wrap_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(users.UserError):
        resolve(**changes)


def test_numbers_of_absurd_length_are_no_ids() -> None:
    long = b"9" * 9999
    assert list(users.parse_passwd(b"a:x:" + long + b":0::/:\nb:x:1:2::/:\n")) == [
        users.Account("b", 1, 2, "/")
    ]
    assert list(users.parse_group(b"a:x:" + long + b":\n")) == []
