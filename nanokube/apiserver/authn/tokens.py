"""Static bearer tokens from a CSV file: token,user,uid[,"group1,group2"].

Source: staging apiserver pkg/authentication/token/tokenfile.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from nanokube.apiserver.authn.user import AUTHENTICATED, User


class StaticTokens:
    """Looked up by digest, so that the time taken says nothing about a token."""

    def __init__(self, users: dict[bytes, User]) -> None:
        self._users = users

    @classmethod
    def read(cls, path: Path) -> StaticTokens:
        """Read the file. Raises OSError, ValueError on a malformed line."""
        users: dict[bytes, User] = {}
        with path.open(newline="") as lines:
            for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
                if not row:
                    continue
                if len(row) < 3 or not row[0]:
                    raise ValueError(f"cannot read {path} line {number}: need token,user,uid")
                groups = tuple(g.strip() for g in row[3].split(",") if g.strip()) if len(row) > 3 else ()
                users[_digest(row[0])] = User(row[1], (*groups, AUTHENTICATED), row[2])
        return cls(users)

    def find(self, token: str) -> User | None:
        """Look a token up."""
        return self._users.get(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
