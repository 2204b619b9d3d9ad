"""Who makes a request. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
MASTERS: Final = "system:masters"
NODES: Final = "system:nodes"
NODE_PREFIX: Final = "system:node:"
SERVICE_ACCOUNT_PREFIX: Final = "system:serviceaccount:"


class User(NamedTuple):
    """An identity. extra: (key, values) pairs, such as the Pod a token is bound to.

    A tuple, as Attributes: they are hashed for each request, which takes a dataclass ten times as long.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_object(self) -> dict[str, object]:
        """Build the UserInfo of reviews."""
        found: dict[str, object] = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            found["uid"] = self.uid
        if self.extra:
            found["extra"] = {key: list(values) for key, values in self.extra}
        return found


# What the API server itself writes with; known by identity, so that nobody else is taken for it.
OWN: Final = User("system:apiserver", (MASTERS,))
ANONYMOUS: Final = User("system:anonymous", (UNAUTHENTICATED,))


def service_account(namespace: str, name: str) -> str:
    """Name the user of a ServiceAccount."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"
